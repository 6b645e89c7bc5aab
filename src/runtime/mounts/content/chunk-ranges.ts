import { type ChunkRange, chunkAt } from '../../../common/volumes/chunk-layout.js';

/** The chunks that have bytes from one offset to another, of a file of that size. */
export function* rangesOf(from: number, to: number, size: number): Generator<ChunkRange> {
  for (let at = from; at < to; ) {
    const range = chunkAt(at, size);
    yield range;
    at = range.offset + range.length;
  }
}

/** Whether it begins and ends between two offsets. */
export function isWithin({ offset, length }: ChunkRange, from: number, to: number): boolean {
  return offset >= from && offset + length <= to;
}
