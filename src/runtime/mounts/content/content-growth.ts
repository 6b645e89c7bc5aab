import { chunkAt, chunkNumber } from '../../../common/volumes/chunk-layout.js';
import { rangesOf } from './chunk-ranges.js';
import type { Slot } from './content-snapshot.js';
import { LocalChunk } from './local-chunk.js';

/** What a change of a file would add. */
export interface Growth {
  /** To what it counts for the volume; a chunk that is written counts whole. */
  readonly counted: number;
  /** To what is kept on this host until a commit, at most. */
  readonly local: number;
}

/** A file as it is. */
interface Shape {
  /** Null: not looked at yet. */
  readonly slots: readonly Slot[] | null;
  readonly size: number;
}

/** Of a write from one offset to another. */
export function growthOfWrite({ slots, size }: Shape, from: number, to: number): Growth {
  const next = Math.max(size, to);
  let [counted, local] = slots === null ? [next - size, 0] : [0, 0];
  for (const { index, offset, length } of rangesOf(from, to, next)) {
    const slot = slots?.[index] ?? null;
    const end = Math.min(to - offset, length);
    if (slots === null) local += length;
    else {
      const before = slot === null ? 0 : chunkNumber(index, size).length;
      counted += length - before;
      local += slot instanceof LocalChunk && !slot.isShared ? Math.max(0, end - slot.keptBytes) : Math.max(end, before);
    }
  }
  return { counted, local };
}

/** Of making it longer or shorter: a chunk that is stored is copied where it ends in another place then. */
export function growthOfCut({ slots, size }: Shape, to: number): Growth {
  const kept = Math.min(to, size);
  if (kept === 0) return { counted: 0, local: 0 };
  const { index, length } = chunkAt(kept - 1, size);
  const isLocal = slots?.[index] instanceof LocalChunk || slots?.[index] === null;
  return { counted: 0, local: isLocal ? 0 : length };
}
