import { HoldfastError } from '../errors.js';

const mebibyte = 1_048_576;
const gibibyte = 1_024 * mebibyte;

/**
 * How files are cut, by the position in the file and never by its size: a file that grows keeps its chunks. Within the first
 * GiB each is 8 MiB long, then up to 64 GiB 32 MiB, beyond that 64 MiB; the last one of a file ends with it.
 */
const regions = [
  { from: 0, chunkBytes: 8 * mebibyte },
  { from: gibibyte, chunkBytes: 32 * mebibyte },
  { from: 64 * gibibyte, chunkBytes: 64 * mebibyte },
] as const;

export const largestChunkBytes = 64 * mebibyte;
export const maxFileBytes = 4_096 * gibibyte;

/** A part of a file that is stored as one object. */
export interface ChunkRange {
  readonly index: number;
  /** Of its first byte in the file. */
  readonly offset: number;
  readonly length: number;
}

/** How many chunks a file of that size has. */
export function chunkCount(size: number): number {
  return size === 0 ? 0 : chunkAt(size - 1, size).index + 1;
}

/** The chunk that has the byte at `offset`. */
export function chunkAt(offset: number, size: number): ChunkRange {
  let before = 0;
  for (const [i, { from, chunkBytes }] of regions.entries()) {
    const end = regions[i + 1]?.from ?? Infinity;
    if (offset < end) {
      const within = Math.floor((offset - from) / chunkBytes);
      return ranged(before + within, from + within * chunkBytes, { chunkBytes, size });
    }
    before += (end - from) / chunkBytes;
  }
  throw new HoldfastError('Internal', `no chunk has the byte ${offset}`);
}

/** The chunk with that number, of a file of that size. */
export function chunkNumber(index: number, size: number): ChunkRange {
  let before = 0;
  for (const [i, { from, chunkBytes }] of regions.entries()) {
    const count = ((regions[i + 1]?.from ?? Infinity) - from) / chunkBytes;
    if (index < before + count) return ranged(index, from + (index - before) * chunkBytes, { chunkBytes, size });
    before += count;
  }
  throw new HoldfastError('Internal', `there is no chunk ${index}`);
}

function ranged(index: number, offset: number, of: { readonly chunkBytes: number; readonly size: number }): ChunkRange {
  return { index, offset, length: Math.min(of.chunkBytes, of.size - offset) };
}
