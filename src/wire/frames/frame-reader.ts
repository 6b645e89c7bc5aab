import { HoldfastError } from '../../common/errors.js';
import { CancelReason, callOffsets, type FrameKind, frameOffsets } from './frames.js';

/** Parts of a `Call`, views of its frame. */
export interface IncomingCall {
  /** See `CallFlag`. */
  readonly flags: number;
  /** 0: no deadline. */
  readonly remainingMs: number;
  /** Of the whole payload; what exceeds `payload` comes in `Chunk`s. */
  readonly payloadLength: number;
  readonly method: string;
  /** For `readMeta` (frame-bodies); null: nothing was said. */
  readonly meta: Buffer | null;
  /** Its first bytes. */
  readonly payload: Buffer;
}

const headerAfterLength = frameOffsets.body - frameOffsets.kind;

/**
 * Calls `visit` for each frame of a batch; `frame` is the whole frame, header included, a view of the batch. Frames before
 * a malformed one have been visited when this throws. An unknown kind is the visitor's to refuse.
 * @throws InvalidArgument, and what `visit` throws
 */
export function readFrames(
  batch: Uint8Array,
  visit: (kind: FrameKind, ref: number, slot: number, frame: Buffer) => void,
  start = 0,
): void {
  const bytes = asBuffer(batch);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length;
  let at = start;
  while (at < end) {
    if (end - at < frameOffsets.body) refuse(`${end - at} bytes are left, less than a header`);
    const length = view.getUint32(at, true);
    const next = at + frameOffsets.kind + length;
    if (length < headerAfterLength || next > end) refuse(`a frame says that it is ${length} bytes long`);
    const ref = view.getFloat64(at + frameOffsets.ref, true);
    if (!(Number.isSafeInteger(ref) && ref >= 0)) refuse('a ref is no whole number');
    const kind = bytes[at + frameOffsets.kind] as FrameKind;
    visit(kind, ref, view.getUint32(at + frameOffsets.slot, true), bytes.subarray(at, next));
    at = next;
  }
}

/** @throws InvalidArgument */
export function readCall(frame: Buffer): IncomingCall {
  const at = frameOffsets.body;
  if (frame.length < at + callOffsets.method) refuse('a call is cut off');
  const methodStart = at + callOffsets.method;
  const metaStart = methodStart + (frame[at + callOffsets.methodLength] as number);
  const payloadStart = metaStart + frame.readUInt16LE(at + callOffsets.metaLength);
  const payloadLength = frame.readUInt32LE(at + callOffsets.payloadLength);
  if (payloadStart > frame.length || frame.length - payloadStart > payloadLength)
    refuse('the lengths of a call are wrong');
  return {
    flags: frame[at + callOffsets.flags] as number,
    remainingMs: frame.readUInt32LE(at + callOffsets.remainingMs),
    payloadLength,
    method: frame.toString('utf8', methodStart, metaStart),
    meta: payloadStart === metaStart ? null : frame.subarray(metaStart, payloadStart),
    payload: frame.subarray(payloadStart),
  };
}

/** Of a `Result` or `Yield`: the length of the payload and its first bytes. @throws InvalidArgument */
export function readPayload(frame: Buffer): { readonly total: number; readonly bytes: Buffer } {
  const bytes = frame.subarray(frameOffsets.body + 4);
  const total = readU32(frame);
  if (bytes.length > total) refuse('a payload is longer than it says');
  return { total, bytes };
}

/** Of a `Credit`: bytes. @throws InvalidArgument */
export function readCredit(frame: Buffer): number {
  return readU32(frame);
}

/** Of a `Cancel`. @throws InvalidArgument */
export function readCancel(frame: Buffer): CancelReason {
  const reason = frame[frameOffsets.body];
  if (reason === undefined || reason > CancelReason.recalled) refuse('a cancel has no reason');
  return reason as CancelReason;
}

/** What follows the header. */
export function readBody(frame: Buffer): Buffer {
  return frame.subarray(frameOffsets.body);
}

function readU32(frame: Buffer): number {
  if (frame.length < frameOffsets.body + 4) refuse('a frame is cut off');
  return frame.readUInt32LE(frameOffsets.body);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `malformed frames: ${why}`);
}
