import { guestBroke } from './guest-errors.js';
import { GuestAnswer, guestChunkBytes, guestHeaderBytes } from './guest-frames.js';

export interface GuestFrames {
  onFrame(kind: GuestAnswer, ref: number, body: Buffer): void;
  /** A part of a Data or Errors frame, as it came. */
  onData(kind: GuestAnswer, ref: number, bytes: Buffer): void;
}

/** The longest body that has to be whole: a path. */
const maxBodyBytes = 4_352;

/** Takes a guest's bytes apart: data goes on in the pieces in which it comes, so that nothing large is ever put together. */
export class GuestParser {
  readonly #frames: GuestFrames;
  /** The beginning of a frame, as far as it has come. */
  #start = Buffer.alloc(0);
  #dataKind: GuestAnswer = GuestAnswer.Data;
  #dataRef = 0;
  #dataLeft = 0;

  constructor(frames: GuestFrames) {
    this.#frames = frames;
  }

  /** @throws Unavailable where it is malformed, and what a visitor throws; then nothing more may be pushed */
  push(chunk: Buffer, isOver: () => boolean): void {
    const bytes = this.#start.length === 0 ? chunk : Buffer.concat([this.#start, chunk]);
    this.#start = Buffer.alloc(0);
    let at = 0;
    while (at < bytes.length && !isOver()) {
      const next = this.#dataLeft > 0 ? this.#takeData(bytes, at) : this.#takeFrame(bytes, at);
      if (next === at) {
        // A copy: a view would keep the whole chunk alive for as long as the guest says nothing.
        this.#start = Buffer.from(bytes.subarray(at));
        return;
      }
      at = next;
    }
  }

  #takeData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#dataLeft);
    this.#dataLeft -= end - at;
    this.#frames.onData(this.#dataKind, this.#dataRef, bytes.subarray(at, end));
    return end;
  }

  /** `at`: it is not all there. */
  #takeFrame(bytes: Buffer, at: number): number {
    if (bytes.length - at < guestHeaderBytes) return at;
    const bodyBytes = bytes.readUInt32LE(at) - (guestHeaderBytes - 4);
    const kind = bytes[at + 4] as GuestAnswer;
    const ref = bytes.readUInt32LE(at + 5);
    const body = at + guestHeaderBytes;
    if (kind === GuestAnswer.Data || kind === GuestAnswer.Errors) {
      if (bodyBytes <= 0 || bodyBytes > guestChunkBytes) throw guestBroke(`${bodyBytes} bytes of data in one frame`);
      this.#dataKind = kind;
      this.#dataRef = ref;
      this.#dataLeft = bodyBytes;
      return body;
    }
    if (kind < GuestAnswer.Hello || kind > GuestAnswer.Accepted) throw guestBroke(`an unknown frame, ${kind}`);
    if (bodyBytes < 0 || bodyBytes > maxBodyBytes) throw guestBroke(`a frame of ${bodyBytes} bytes`);
    if (body + bodyBytes > bytes.length) return at;
    this.#frames.onFrame(kind, ref, bytes.subarray(body, body + bodyBytes));
    return body + bodyBytes;
  }
}
