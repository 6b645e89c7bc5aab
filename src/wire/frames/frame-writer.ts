import { callOffsets, FrameKind, frameOffsets, inlinePayloadBytes } from './frames.js';
import { Slabs } from './slabs.js';
import { SplitBatch } from './split-message.js';

/** What `FrameWriter.call` reads; a caller's own record of its call will do. */
export interface OutgoingCall {
  readonly ref: number;
  readonly slot: number;
  readonly method: string;
  /** See `CallFlag`. */
  readonly flags: number;
  /** 0: no deadline. */
  readonly remainingMs: number;
  /** `CallMeta` as frame-bodies encodes it; null: nothing to say. */
  readonly meta: Uint8Array | null;
  /** All of it: its first `inlinePayloadBytes` are written, the rest is for `Chunk`s on credit. */
  readonly payload: Uint8Array;
}

const noBytes = new Uint8Array(0);
/** Longer bodies are not copied: each ends its batch. */
const splitBytes = 16_384;
const headerAfterLength = frameOffsets.body - frameOffsets.kind;

/**
 * Writes frames behind each other into a slab and hands out what was written as one batch, without copying it: batches of
 * one slab lie side by side, and what was taken is not written again before it is given back, so a batch may be kept and sent again. A
 * long body stays where it is and must not change any more.
 */
export class FrameWriter {
  readonly #headroom: number;
  readonly #seal: ((batch: SplitBatch) => void) | null;
  readonly #slabs = new Slabs();
  #slab: Buffer;
  #view: DataView;
  #start = 0;
  #end: number;
  #urgent: FrameWriter | null = null;

  /**
   * @param headroomBytes left free at the start of each batch
   * @param seal takes batches that a long body has ended; null: those are copied, too
   */
  constructor(headroomBytes = 0, firstSlabBytes = 8_192, seal: ((batch: SplitBatch) => void) | null = null) {
    this.#headroom = headroomBytes;
    this.#seal = seal;
    this.#slab = Buffer.allocUnsafeSlow(Math.max(firstSlabBytes, headroomBytes));
    this.#view = viewOf(this.#slab);
    this.#end = headroomBytes;
  }

  /** Bytes of frames in the batch that is being written. */
  get size(): number {
    return this.#end - this.#start - this.#headroom;
  }

  /** Bytes of the frames that overtake the others. */
  get urgentSize(): number {
    return this.#urgent === null ? 0 : this.#urgent.size;
  }

  // biome-ignore lint/complexity/useMaxParams: no object per frame
  frame(kind: FrameKind, ref: number, slot: number, body: Uint8Array = noBytes): void {
    const at = this.#header(kind, ref, slot, body.length, body);
    this.#finish(body, at);
  }

  /** A `Result` or `Yield`: the first bytes of a payload that is `total` long. What is all of it is copied. */
  // biome-ignore lint/complexity/useMaxParams: no object per frame
  payload(kind: FrameKind, ref: number, slot: number, total: number, bytes: Uint8Array): void {
    const isWhole = bytes.length === total;
    const at = this.#header(kind, ref, slot, 4 + bytes.length, isWhole ? noBytes : bytes);
    this.#view.setUint32(at, total, true);
    if (isWhole) this.#slab.set(bytes, at + 4);
    else this.#finish(bytes, at + 4);
  }

  /** A `Call`. The method's name is at most 255 bytes of UTF-8, the meta at most 65 535: the caller sees to it. */
  call(call: OutgoingCall): void {
    const { method, meta, payload } = call;
    const methodBytes = Buffer.byteLength(method, 'utf8');
    const metaBytes = meta === null ? 0 : meta.length;
    const inline = payload.length <= inlinePayloadBytes ? payload : payload.subarray(0, inlinePayloadBytes);
    const bodyBytes = callOffsets.method + methodBytes + metaBytes + inline.length;
    const at = this.#header(FrameKind.Call, call.ref, call.slot, bodyBytes, inline);
    const view = this.#view;
    const slab = this.#slab;
    slab[at + callOffsets.flags] = call.flags;
    view.setUint32(at + callOffsets.remainingMs, call.remainingMs, true);
    view.setUint32(at + callOffsets.payloadLength, payload.length, true);
    view.setUint16(at + callOffsets.metaLength, metaBytes, true);
    slab[at + callOffsets.methodLength] = methodBytes;
    let next = at + callOffsets.method;
    if (methodBytes === method.length) for (let i = 0; i < methodBytes; i += 1) slab[next + i] = method.charCodeAt(i);
    else slab.write(method, next, methodBytes, 'utf8');
    next += methodBytes;
    if (meta !== null) slab.set(meta, next);
    next += metaBytes;
    this.#finish(inline, next);
  }

  /** A frame of slot 0 that overtakes all that waits (credit, cancel). */
  urgent(kind: FrameKind, ref: number, body: Uint8Array): void {
    this.#urgent ??= new FrameWriter(0, 1_024);
    this.#urgent.frame(kind, ref, 0, body);
  }

  /** A whole frame under another ref and slot. */
  forward(frame: Uint8Array, ref: number, slot: number): void {
    const isSplit = this.#splits(frame);
    const copied = isSplit ? frame.subarray(0, frameOffsets.body) : frame;
    const at = this.#reserve(copied.length);
    this.#slab.set(copied, at);
    this.#view.setFloat64(at + frameOffsets.ref, ref, true);
    this.#view.setUint32(at + frameOffsets.slot, slot, true);
    if (isSplit) this.#seal?.(new SplitBatch(this.take(), frame.subarray(frameOffsets.body)));
  }

  /** Copies of whole frames, as they are. */
  append(frames: Uint8Array): void {
    // Reserving may change the slab: it comes first.
    const at = this.#reserve(frames.length);
    this.#slab.set(frames, at);
  }

  /** The batch, headroom first; the writer begins the next one. */
  take(): Buffer {
    const batch = this.#slab.subarray(this.#start, this.#end);
    this.#slabs.took(batch);
    this.#start = this.#end;
    this.#reserve(this.#headroom);
    return batch;
  }

  /** Nobody reads the batch any more, or what of a split one was taken here. */
  giveBack(batch: Uint8Array): void {
    if (!this.#slabs.gaveBack(batch)) return;
    if (batch.buffer !== this.#slab.buffer) return this.#slabs.spare(Buffer.from(batch.buffer));
    if (this.size > 0) return;
    this.#start = 0;
    this.#end = this.#headroom;
  }

  /** The frames that overtake the others. */
  takeUrgent(): Uint8Array {
    return this.#urgent === null ? new Uint8Array(0) : this.#urgent.take();
  }

  /** Forgets all frames that were not taken. */
  clear(): void {
    this.#end = this.#start + this.#headroom;
    this.#urgent?.clear();
  }

  /** Writes a header; returns where the body goes, of which `last` is the last part. */
  // biome-ignore lint/complexity/useMaxParams: no object per frame
  #header(kind: FrameKind, ref: number, slot: number, bodyBytes: number, last: Uint8Array): number {
    const at = this.#reserve(frameOffsets.body + bodyBytes - (this.#splits(last) ? last.length : 0));
    const view = this.#view;
    view.setUint32(at, headerAfterLength + bodyBytes, true);
    this.#slab[at + frameOffsets.kind] = kind;
    view.setFloat64(at + frameOffsets.ref, ref, true);
    view.setUint32(at + frameOffsets.slot, slot, true);
    return at + frameOffsets.body;
  }

  #splits(part: Uint8Array): boolean {
    return part.length > splitBytes && this.#seal !== null;
  }

  /** The last part of a body. */
  #finish(last: Uint8Array, at: number): void {
    if (this.#splits(last)) this.#seal?.(new SplitBatch(this.take(), last));
    else this.#slab.set(last, at);
  }

  #reserve(bytes: number): number {
    const at = this.#end;
    if (at + bytes <= this.#slab.length) {
      this.#end = at + bytes;
      return at;
    }
    const begun = at - this.#start;
    const slab = this.#slabs.next(begun + bytes, this.#slab);
    slab.set(this.#slab.subarray(this.#start, at), 0);
    this.#slab = slab;
    this.#view = viewOf(slab);
    this.#start = 0;
    this.#end = begun + bytes;
    return begun;
  }
}

function viewOf(slab: Buffer): DataView {
  return new DataView(slab.buffer, slab.byteOffset, slab.byteLength);
}
