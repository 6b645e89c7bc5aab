import { HoldfastError } from '../../common/errors.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import { FrameKind, frameOffsets, inlinePayloadBytes } from '../../wire/frames/frames.js';
import type { KeyedCall } from './keyed-calls.js';
import type { Caller } from './worker-call.js';

/** What a call with a key came to. */
export type Answer =
  | { readonly kind: 'result'; readonly payload: Buffer }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'error-frame'; readonly frame: Buffer };

/** One caller of a call with a key. */
export class KeyedFollower {
  readonly #call: KeyedCall;
  readonly #caller: Caller;
  readonly #ref: number;
  #rest: Buffer | null = null;
  #isDone = false;
  #deadline: { readonly wheel: TimerWheel; readonly entry: WheelEntry } | null = null;

  constructor(call: KeyedCall, caller: Caller, ref: number) {
    this.#call = call;
    this.#caller = caller;
    this.#ref = ref;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Its own time; the call has only that of its class. */
  expireAfter(wheel: TimerWheel, ms: number): void {
    this.#deadline = { wheel, entry: wheel.add(ms, () => this.cancel(true)) };
  }

  deliver(answer: Answer): void {
    if (this.#isDone) return;
    if (answer.kind === 'error') return this.#end(() => this.#caller.fail(this.#ref, answer.error));
    if (answer.kind === 'error-frame') return this.#end(() => this.#caller.forward(answer.frame, this.#ref));
    const first = answer.payload.subarray(0, inlinePayloadBytes);
    const frame = frameOf(FrameKind.Result, first, answer.payload.length);
    this.#rest = answer.payload.subarray(first.length);
    if (this.#rest.length === 0) this.#end(() => this.#caller.forward(frame, this.#ref));
    else this.#caller.forward(frame, this.#ref);
  }

  credit(bytes: number): void {
    for (let left = bytes; left > 0 && this.#rest !== null && this.#rest.length > 0; ) {
      const chunk = this.#rest.subarray(0, Math.min(left, inlinePayloadBytes));
      this.#rest = this.#rest.subarray(chunk.length);
      left -= chunk.length;
      this.#caller.forward(frameOf(FrameKind.Chunk, chunk, null), this.#ref);
    }
    if (this.#rest?.length === 0) this.#end(() => undefined);
  }

  /** A chunk of the arguments. @throws InvalidArgument where nobody asked for it */
  chunk(frame: Buffer): void {
    this.#call.chunk(this, frame);
  }

  /** The container asks for more of the arguments. */
  forward(frame: Buffer): void {
    this.#caller.forward(frame, this.#ref);
  }

  /** This caller goes away. */
  cancel(byDeadline: boolean): void {
    if (this.#isDone) return;
    this.#end(() => {
      const neverRuns = this.#call.leave(this);
      const what = neverRuns
        ? 'stopped waiting for a call with an idempotency key before it ran'
        : 'stopped waiting for a call with an idempotency key that goes on';
      const outcome = neverRuns ? 'not-run' : 'unknown';
      const error = new HoldfastError(byDeadline ? 'DeadlineExceeded' : 'Cancelled', what, { outcome });
      this.#caller.fail(this.#ref, error);
    });
  }

  moved(): void {
    this.#end(() => this.#caller.moved(this.#ref));
  }

  #end(last: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#rest = null;
    this.#deadline?.wheel.remove(this.#deadline.entry);
    last();
    this.#caller.done(this.#ref);
  }
}

/** A whole frame; `ref` and `slot` are patched by who forwards it. */
function frameOf(kind: FrameKind, payload: Buffer, total: number | null): Buffer {
  const head = frameOffsets.body + (total === null ? 0 : 4);
  const frame = Buffer.allocUnsafe(head + payload.length);
  frame.writeUInt32LE(frame.length - frameOffsets.kind, frameOffsets.length);
  frame.writeUInt8(kind, frameOffsets.kind);
  frame.writeDoubleLE(0, frameOffsets.ref);
  frame.writeUInt32LE(0, frameOffsets.slot);
  if (total !== null) frame.writeUInt32LE(total, frameOffsets.body);
  payload.copy(frame, head);
  return frame;
}
