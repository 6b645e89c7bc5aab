import { HoldfastError } from '../../../common/errors.js';

/** Something in a volume; an empty path is its root. */
export interface VolumePlace {
  readonly volume: string;
  readonly path: string;
}

/** `VOLUME` or `VOLUME:PATH`. @throws InvalidArgument */
export function parseVolumePlace(text: string): VolumePlace {
  const at = text.indexOf(':');
  const volume = at < 0 ? text : text.slice(0, at);
  if (volume === '' || volume.includes('/'))
    throw new HoldfastError('InvalidArgument', `${JSON.stringify(text)} names no volume: write VOLUME or VOLUME:PATH`);
  return { volume, path: at < 0 ? '' : text.slice(at + 1) };
}

/** `VOLUME:PATH`. @throws InvalidArgument */
export function parseFilePlace(text: string): VolumePlace {
  const place = parseVolumePlace(text);
  if (place.path !== '') return place;
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(text)} names no file of a volume: write VOLUME:PATH`);
}
