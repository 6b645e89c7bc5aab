import { readBody } from '../../wire/frames/frame-reader.js';
import { inlinePayloadBytes } from '../../wire/frames/frames.js';
import { chunkFrame } from '../calls/call-frame.js';

/** The arguments of a spawned call on their way into a container, from the beginning for each attempt. */
export class OutgoingArguments {
  readonly bytes: Uint8Array;
  #sentBytes = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** What does not travel with the call itself. */
  get bytesToCome(): number {
    return this.bytes.length - this.#sentBytes;
  }

  begin(): void {
    this.#sentBytes = Math.min(this.bytes.length, inlinePayloadBytes);
  }

  /** As the container asks for them. */
  *chunks(creditBytes: number): Generator<Buffer, void, undefined> {
    const until = Math.min(this.bytes.length, this.#sentBytes + creditBytes);
    while (this.#sentBytes < until) {
      const frame = chunkFrame(this.bytes, this.#sentBytes, until - this.#sentBytes);
      this.#sentBytes += readBody(frame).length;
      yield frame;
    }
  }
}
