import type { Bucket, BucketObject } from '../../../common/ports/bucket.js';
import type { ReadWindow } from '../read-window.js';

const blockBytes = 4_194_304;
const maxBlocks = 48;
/** Of all readers, of blocks that nobody has asked for yet. */
const maxAhead = 24;

/** A part of an object that somebody wants. */
export interface WantedBytes {
  readonly offset: number;
  readonly length: number;
  /** Of its reader. */
  readonly window: ReadWindow;
}

interface Source {
  readonly id: string;
  readonly bucket: Bucket;
}

/**
 * Blocks of objects that were read lately, in memory, for all buckets of a host; those under way are fetched once. Of an object that
 * is read on the next ones are fetched before they are asked for.
 */
export class BlockCache {
  /** In the order of their last use. */
  readonly #blocks = new Map<string, Promise<Uint8Array | null>>();
  /** Of those, what nobody has asked for. */
  readonly #ahead = new Set<string>();

  /** Less only at the object's end; null: it is not there any more, or has other bytes. */
  async read(source: Source, object: BucketObject, { offset, length, window }: WantedBytes): Promise<Buffer | null> {
    const end = Math.min(object.size, offset + length);
    if (offset >= end) return Buffer.alloc(0);
    const first = Math.floor(offset / blockBytes);
    const last = Math.floor((end - 1) / blockBytes);
    const asked = Array.from({ length: last - first + 1 }, (_, i) => this.#block(source, object, first + i));
    this.#fetchAhead(source, object, { from: last + 1, count: window.after({ offset, end, index: last }) });
    const found = (await Promise.all(asked)).filter((block) => block !== null);
    if (found.length < asked.length) return null;
    const from = offset - first * blockBytes;
    return Buffer.concat(found).subarray(from, from + end - offset);
  }

  /** What fails is for whoever comes to it, and asked for again then. */
  #fetchAhead(
    source: Source,
    object: BucketObject,
    { from, count }: { readonly from: number; readonly count: number },
  ): void {
    for (let index = from; index < from + count && index * blockBytes < object.size; index += 1) {
      const key = keyOf(source, object, index);
      if (this.#blocks.has(key)) continue;
      if (this.#ahead.size >= maxAhead) return;
      void this.#block(source, object, index).catch(() => undefined);
      this.#ahead.add(key);
    }
  }

  #block(source: Source, object: BucketObject, index: number): Promise<Uint8Array | null> {
    const key = keyOf(source, object, index);
    const block = this.#blocks.get(key) ?? fetch(source.bucket, object, index);
    this.#forget(key);
    this.#blocks.set(key, block);
    const forget = (): void => {
      if (this.#blocks.get(key) === block) this.#forget(key);
    };
    block.then((bytes) => bytes ?? forget(), forget);
    const oldest = this.#blocks.keys().next().value;
    if (this.#blocks.size > maxBlocks && oldest !== undefined) this.#forget(oldest);
    return block;
  }

  #forget(key: string): void {
    this.#blocks.delete(key);
    this.#ahead.delete(key);
  }
}

function keyOf({ id }: Source, { etag, key }: BucketObject, index: number): string {
  return `${id} ${index} ${etag} ${key}`;
}

/** A shorter answer than the object is long would be wrong bytes: it is none. */
async function fetch(bucket: Bucket, object: BucketObject, index: number): Promise<Uint8Array | null> {
  const offset = index * blockBytes;
  const length = Math.min(blockBytes, object.size - offset);
  const bytes = await bucket.read(object, offset, length);
  return bytes?.length === length ? bytes : null;
}
