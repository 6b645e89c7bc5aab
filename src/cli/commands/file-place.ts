import { HoldfastError } from '../../common/errors.js';

/** Something in a volume or network file system; an empty path is its root. */
export interface FilePlace {
  readonly name: string;
  readonly path: string;
}

/** What has files under a name, and how usage shows that name. */
export interface FileStore {
  readonly what: string;
  readonly shown: string;
}

export const volumeStore: FileStore = { what: 'volume', shown: 'VOLUME' };
export const liveStore: FileStore = { what: 'network file system', shown: 'NFS' };

/** `VOLUME` or `VOLUME:PATH`. @throws InvalidArgument */
export function parsePlace(text: string, { what, shown }: FileStore): FilePlace {
  const at = text.indexOf(':');
  const name = at < 0 ? text : text.slice(0, at);
  if (name === '' || name.includes('/'))
    throw new HoldfastError(
      'InvalidArgument',
      `${JSON.stringify(text)} names no ${what}: write ${shown} or ${shown}:PATH`,
    );
  return { name, path: at < 0 ? '' : text.slice(at + 1) };
}

/** `VOLUME:PATH`. @throws InvalidArgument */
export function parseFilePlace(text: string, store: FileStore): FilePlace {
  const place = parsePlace(text, store);
  if (place.path !== '') return place;
  const { what, shown } = store;
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(text)} names no file of a ${what}: write ${shown}:PATH`);
}
