import { HoldfastError } from '../errors.js';
import { wrongName } from './node-codec.js';

/** The names on the way to something in a volume; none for its root. */
export type Path = readonly string[];

const maxPathBytes = 4_096;

/** @param text relative to the volume's root, with or without a leading `/`. @throws InvalidArgument for what leaves it */
export function parsePath(text: string): Path {
  if (typeof text !== 'string') throw new HoldfastError('InvalidArgument', 'a path in a volume must be a string');
  const names = text.split('/').filter((name) => name !== '' && name !== '.');
  const wrong = names.find((name) => wrongName(name) !== null);
  if (wrong !== undefined)
    throw new HoldfastError(
      'InvalidArgument',
      `path ${JSON.stringify(text)}: ${JSON.stringify(wrong)} ${wrongName(wrong)}`,
    );
  if (Buffer.byteLength(text, 'utf8') > maxPathBytes)
    throw new HoldfastError('InvalidArgument', `a path in a volume has more than ${maxPathBytes} bytes`);
  return names;
}

export function showPath(path: Path): string {
  return path.join('/');
}
