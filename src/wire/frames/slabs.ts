const slabBytes = 262_144;
const mostSpare = 2;

/**
 * Memory for batches that lie side by side. It is used again where each batch of it is given back when it was sent: fresh memory costs
 * ten times what writing into it does, and each 64 MB of it a full collection.
 *
 * I1. Memory is written again only when all batches that were taken of it are back. One that never comes back leaves its memory to
 *     the collector.
 */
export class Slabs {
  /** Batches that are out, by their memory. */
  readonly #out = new WeakMap<ArrayBufferLike, number>();
  readonly #spare: Buffer[] = [];

  took(batch: Uint8Array): void {
    this.#out.set(batch.buffer, (this.#out.get(batch.buffer) ?? 0) + 1);
  }

  /** True: nothing of its memory is out any more. Does nothing for a batch of other memory. */
  gaveBack(batch: Uint8Array): boolean {
    const out = this.#out.get(batch.buffer);
    if (out === undefined) return false;
    this.#out.set(batch.buffer, out - 1);
    return out === 1;
  }

  /** In place of one that is full. */
  next(bytes: number, full: Buffer): Buffer {
    const next = bytes <= slabBytes ? this.#spare.pop() : undefined;
    if ((this.#out.get(full.buffer) ?? 0) === 0) this.spare(full);
    return next ?? Buffer.allocUnsafeSlow(Math.max(slabBytes, bytes * 2));
  }

  /** Nothing of it is out. */
  spare(memory: Buffer): void {
    if (memory.length === slabBytes && this.#spare.length < mostSpare) this.#spare.push(memory);
  }
}
