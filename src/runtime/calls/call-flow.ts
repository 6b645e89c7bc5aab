import { HoldfastError } from '../../common/errors.js';
import { readCredit } from '../../wire/frames/frame-reader.js';
import { FrameKind, frameOffsets, inlinePayloadBytes, yieldOverheadBytes } from '../../wire/frames/frames.js';
import type { WorkerCall } from './worker-call.js';

/** A value may overdraw its credit by its first part (C8). */
const mostOverdrawn = inlinePayloadBytes + yieldOverheadBytes;

/** What a frame of a container says about its call. */
export interface AnswerPart {
  /** The code of the call has stopped: its slot is free. */
  readonly hasStopped: boolean;
  /** No frame will follow. */
  readonly isLast: boolean;
}

const goesOn: AnswerPart = { hasStopped: false, isLast: false };
const stopped: AnswerPart = { hasStopped: true, isLast: false };
const last: AnswerPart = { hasStopped: true, isLast: true };

/**
 * Keeps the books of one call's payloads, from the frames that pass: both sides of a worker are hostile, and neither may send
 * more than the other has asked for.
 * @throws InvalidArgument for a frame from the container that breaks that
 */
export function answerPart(kind: FrameKind, call: WorkerCall, frame: Buffer): AnswerPart {
  const bodyBytes = frame.length - frameOffsets.body;
  if (bodyBytes > inlinePayloadBytes + 4) refuse(`a frame of an answer carries ${bodyBytes} bytes`);
  switch (kind) {
    case FrameKind.Error:
    case FrameKind.Moved:
    case FrameKind.End:
      return last;
    case FrameKind.Result:
      begin(call, frame);
      return call.bytesToCome === 0 ? last : stopped;
    case FrameKind.Yield:
      begin(call, frame);
      spend(call, bodyBytes - 4 + yieldOverheadBytes);
      return goesOn;
    case FrameKind.Chunk:
      spend(call, bodyBytes);
      come(call, bodyBytes);
      // A chunk that completes a result ends the call, one that completes a generator's value does not.
      return call.hasReleased && call.bytesToCome === 0 ? last : goesOn;
    case FrameKind.Credit:
      call.argumentCredit += readCredit(frame);
      return goesOn;
    default:
      return refuse(`a frame of kind ${kind} is no part of an answer`);
  }
}

/** A chunk of the arguments from the caller. @throws InvalidArgument where nobody asked for it */
export function argumentPart(call: WorkerCall, frame: Buffer): void {
  const bytes = frame.length - frameOffsets.body;
  call.argumentCredit -= bytes;
  call.argumentBytesToCome -= bytes;
  if (call.argumentCredit < 0 || call.argumentBytesToCome < 0) refuse(`${bytes} bytes of arguments came unasked`);
}

/** The first part of a result or value, after its length. */
function begin(call: WorkerCall, frame: Buffer): void {
  call.bytesToCome = frame.readUInt32LE(frameOffsets.body);
  come(call, frame.length - frameOffsets.body - 4);
}

function come(call: WorkerCall, bytes: number): void {
  call.bytesToCome -= bytes;
  if (call.bytesToCome < 0) refuse('an answer is longer than it said');
}

function spend(call: WorkerCall, bytes: number): void {
  call.answerCredit -= bytes;
  if (call.answerCredit < -mostOverdrawn) refuse(`an answer is ${-call.answerCredit} bytes beyond its credit`);
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `the protocol of calls was broken: ${why}`);
}
