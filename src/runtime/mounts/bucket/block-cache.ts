import type { Bucket, BucketObject } from '../../../common/ports/bucket.js';

const blockBytes = 4_194_304;
const maxBlocks = 48;

/** Blocks of objects that were read lately, in memory, for all buckets of a host; those under way are fetched once. */
export class BlockCache {
  /** In the order of their last use. */
  readonly #blocks = new Map<string, Promise<Uint8Array | null>>();

  /** Less only at the object's end; null: it is not there any more, or has other bytes. */
  async read(
    bucket: { readonly id: string; readonly bucket: Bucket },
    object: BucketObject,
    { offset, length }: { readonly offset: number; readonly length: number },
  ): Promise<Buffer | null> {
    const end = Math.min(object.size, offset + length);
    if (offset >= end) return Buffer.alloc(0);
    const first = Math.floor(offset / blockBytes);
    const count = Math.floor((end - 1) / blockBytes) - first + 1;
    const fetched = await Promise.all(Array.from({ length: count }, (_, i) => this.#block(bucket, object, first + i)));
    const found = fetched.filter((block) => block !== null);
    if (found.length < count) return null;
    const from = offset - first * blockBytes;
    return Buffer.concat(found).subarray(from, from + end - offset);
  }

  #block({ id, bucket }: { id: string; bucket: Bucket }, object: BucketObject, index: number) {
    const key = `${id} ${index} ${object.etag} ${object.key}`;
    const block = this.#blocks.get(key) ?? fetch(bucket, object, index);
    this.#blocks.delete(key);
    this.#blocks.set(key, block);
    const forget = (): void => {
      if (this.#blocks.get(key) === block) this.#blocks.delete(key);
    };
    block.then((bytes) => bytes ?? forget(), forget);
    const oldest = this.#blocks.keys().next().value;
    if (this.#blocks.size > maxBlocks && oldest !== undefined) this.#blocks.delete(oldest);
    return block;
  }
}

/** A shorter answer than the object is long would be wrong bytes: it is none. */
async function fetch(bucket: Bucket, object: BucketObject, index: number): Promise<Uint8Array | null> {
  const offset = index * blockBytes;
  const length = Math.min(blockBytes, object.size - offset);
  const bytes = await bucket.read(object, offset, length);
  return bytes?.length === length ? bytes : null;
}
