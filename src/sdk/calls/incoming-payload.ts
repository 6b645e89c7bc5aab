import { HoldfastError } from '../../common/errors.js';
import { chunkWindowBytes, defaultMaxPayloadBytes } from '../../wire/frames/frames.js';

/** A payload that arrives in chunks: the bytes so far, and what its sender may still send. */
export class IncomingPayload {
  readonly bytes: Buffer;
  #receivedBytes = 0;
  #grantedBytes: number;

  /** @throws PayloadTooLarge, Internal for a first part that is longer than the whole */
  constructor(totalBytes: number, first: Uint8Array) {
    if (totalBytes > defaultMaxPayloadBytes) {
      throw new HoldfastError(
        'PayloadTooLarge',
        `a result of ${totalBytes} bytes is longer than ${defaultMaxPayloadBytes}; return it in parts, from a generator`,
        { outcome: 'ran', details: { bytes: totalBytes, limit: defaultMaxPayloadBytes } },
      );
    }
    this.bytes = Buffer.allocUnsafe(totalBytes);
    this.#grantedBytes = first.length;
    this.add(first);
  }

  get isComplete(): boolean {
    return this.#receivedBytes === this.bytes.length;
  }

  add(chunk: Uint8Array): void {
    if (this.#receivedBytes + chunk.length > this.bytes.length) {
      throw new HoldfastError('Internal', `a payload of ${this.bytes.length} bytes came with more`, {
        outcome: 'unknown',
      });
    }
    this.bytes.set(chunk, this.#receivedBytes);
    this.#receivedBytes += chunk.length;
  }

  /** Credit to give now: half windows, so that the sender never runs dry while chunks are on their way; 0: none. */
  takeCredit(): number {
    const wanted = Math.min(this.bytes.length, this.#receivedBytes + chunkWindowBytes);
    const credit = wanted - this.#grantedBytes;
    if (credit < chunkWindowBytes / 2 && wanted < this.bytes.length) return 0;
    this.#grantedBytes = wanted;
    return credit;
  }
}
