import type { FrameStream } from '../../wire/frames/frame-stream.js';
import { FrameKind, inlinePayloadBytes } from '../../wire/frames/frames.js';

/** A large result: its beginning goes out at once, the rest on the credit that its reader gives. */
export class OutgoingPayload {
  readonly #stream: FrameStream;
  readonly #ref: number;
  readonly #bytes: Uint8Array;
  #sent = inlinePayloadBytes;
  #credit = 0;

  constructor(stream: FrameStream, ref: number, bytes: Uint8Array) {
    this.#stream = stream;
    this.#ref = ref;
    this.#bytes = bytes;
    stream.writer.payload(FrameKind.Result, ref, 0, bytes.length, bytes.subarray(0, inlinePayloadBytes));
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
  }

  /** As much as credit and socket allow. @returns true: that was all of it */
  send(): boolean {
    while (this.#credit > 0 && !this.#stream.isBlocked) {
      const size = Math.min(this.#credit, inlinePayloadBytes, this.#bytes.length - this.#sent);
      this.#stream.writer.frame(FrameKind.Chunk, this.#ref, 0, this.#bytes.subarray(this.#sent, this.#sent + size));
      this.#sent += size;
      this.#credit -= size;
      if (this.#sent === this.#bytes.length) return true;
      this.#stream.flushSoon();
    }
    return false;
  }
}
