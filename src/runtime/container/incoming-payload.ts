import { HoldfastError } from '../../common/errors.js';
import { chunkWindowBytes } from '../../wire/frames/frames.js';

/** A payload that arrives in chunks, on the credit that this side gives: at most `chunkWindowBytes` are on their way. */
export class IncomingPayload {
  readonly #bytes: Buffer;
  #received: number;
  /** Promised to the sender so far, what came with the first frame included. */
  #granted: number;

  constructor(totalBytes: number, first: Uint8Array) {
    this.#bytes = Buffer.allocUnsafe(totalBytes);
    this.#bytes.set(first);
    this.#received = first.length;
    this.#granted = first.length;
  }

  get isComplete(): boolean {
    return this.#received === this.#bytes.length;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Bytes that the sender may now send on top of earlier credit; 0: none to give at the moment. */
  nextCredit(): number {
    const wanted = Math.min(this.#bytes.length, this.#received + chunkWindowBytes);
    const credit = wanted - this.#granted;
    // Half a window at a time, or the rest: a credit frame per chunk would double the frames.
    if (credit < chunkWindowBytes / 2 && wanted < this.#bytes.length) return 0;
    this.#granted = wanted;
    return credit;
  }

  /** @throws InvalidArgument where the sender sends more than it announced */
  append(chunk: Uint8Array): void {
    if (this.#received + chunk.length > this.#bytes.length) {
      throw new HoldfastError('InvalidArgument', `a payload of ${this.#bytes.length} bytes came with more`);
    }
    this.#bytes.set(chunk, this.#received);
    this.#received += chunk.length;
  }
}
