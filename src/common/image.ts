import { HoldfastError } from './errors.js';

/** An image that a sandbox names: an ordered list of layers, known by the hash of that. */
export interface ImageReference {
  readonly id: string;
}

const hash = /^[0-9a-f]{64}$/;

/** SHA-256, of an image's manifest, a layer or a chunk. */
export function isHash(value: unknown): value is string {
  return typeof value === 'string' && hash.test(value);
}

/** @throws InvalidArgument */
export function checkedImageId(id: unknown): string {
  if (isHash(id)) return id;
  throw new HoldfastError('InvalidArgument', 'the id of an image is 64 of the characters 0-9 and a-f');
}
