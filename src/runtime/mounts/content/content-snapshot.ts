import type { ChunkList } from '../../../common/volumes/chunk-list.js';
import { type HashedChunk, type StoredContent, storeChunks } from '../../../common/volumes/content.js';
import type { Hash } from '../../../common/volumes/entry.js';
import type { Uploads } from '../../../common/volumes/uploads.js';
import { LocalChunk } from './local-chunk.js';

/** Where the bytes of a chunk are; null: it is all zeros. */
export type Slot = Hash | LocalChunk | null;

/** A file at one moment; its chunks stay as they are until it is settled or dropped. */
export interface ContentSnapshot {
  readonly size: number;
  /** Null: as it is stored. */
  readonly slots: readonly Slot[] | null;
  readonly changes: number;
  stored: StoredContent | null;
  list: ChunkList;
}

/** Brings the bytes of a snapshot to the object store. */
export async function storeSnapshot(uploads: Uploads, snapshot: ContentSnapshot): Promise<StoredContent> {
  const { slots, size } = snapshot;
  if (slots === null) return snapshot.stored as StoredContent;
  const { stored, list } = await storeChunks(uploads, size, bytesOf(slots));
  snapshot.stored = stored;
  snapshot.list = list;
  return stored;
}

/** One after the other: a chunk may have 64 MiB. */
async function* bytesOf(slots: readonly Slot[]): AsyncGenerator<Buffer | HashedChunk | Hash | null, void, undefined> {
  for (const slot of slots) yield slot instanceof LocalChunk ? await slot.toStore() : slot;
}
