import { HoldfastError } from './errors.js';
import type { ImageRecipe } from './image-recipe.js';

/** An image that a class or sandbox names: an ordered list of layers, known by the hash of that, or how to make one. */
export interface ImageReference {
  readonly recipe: ImageRecipe;
}

/** What runs in an image has it unless it is told otherwise. */
export interface ImageSettings {
  readonly env: Readonly<Record<string, string>>;
  /** Absolute; null: it says nothing. */
  readonly workdir: string | null;
}

/** What there is of an image: below its layers are the programs of the host, or nothing. */
export interface ImageContent extends ImageSettings {
  readonly base: 'host' | 'none';
  /** Hashes, the newest first. */
  readonly layers: readonly string[];
}

/** Of a container without an image. */
export const noSettings: ImageSettings = { env: {}, workdir: null };

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
