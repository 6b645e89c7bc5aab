import { LRUCache } from 'lru-cache';
import { HoldfastError, isHoldfastError } from '../common/errors.js';
import { chunkWindowBytes, FrameKind, frameOffsets, inlinePayloadBytes } from '../wire/frames.js';
import type { Caller, WorkerCall } from './worker-call.js';

/** How long, and for how many keys of one activation, an answer is kept (C7). */
const keptMs = 600_000;
const keptKeys = 10_000;

type Answer =
  | { readonly kind: 'result'; readonly payload: Buffer }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'error-frame'; readonly frame: Buffer };

/**
 * Calls with an idempotency key, of one activation: the first one runs, others with its key join it or get its answer.
 * The book is the caller of the first call; it takes in the whole answer and hands it out.
 */
export class KeyedCalls {
  readonly #entries = new LRUCache<string, KeyedCall>({ max: keptKeys, ttl: keptMs });

  /** Null: nobody has used the key, the caller now must (`begin`). */
  find(key: string): KeyedCall | null {
    return this.#entries.get(key) ?? null;
  }

  begin(key: string): KeyedCall {
    const entry = new KeyedCall(() => this.#entries.delete(key));
    this.#entries.set(key, entry);
    return entry;
  }
}

export class KeyedCall implements Caller {
  /** Set by who begins it. */
  call: WorkerCall | null = null;
  readonly #forget: () => void;
  readonly #followers = new Set<KeyedFollower>();
  /** Of an answer that is still on its way from the container. */
  #parts: Buffer[] = [];
  #bytesToCome = 0;
  #answer: Answer | null = null;

  constructor(forget: () => void) {
    this.#forget = forget;
  }

  /** Answers at once where the answer is known. Returns the way to send a large one on credit. */
  join(caller: Caller, ref: number): KeyedFollower {
    const follower = new KeyedFollower(caller, ref);
    if (this.#answer === null) this.#followers.add(follower);
    else follower.deliver(this.#answer);
    return follower;
  }

  forward(frame: Buffer): void {
    const kind = frame.readUInt8(frameOffsets.kind);
    if (kind === FrameKind.Error) return this.#settle({ kind: 'error-frame', frame: Buffer.from(frame) });
    if (kind === FrameKind.Result) {
      const first = frame.subarray(frameOffsets.body + 4);
      this.#bytesToCome = frame.readUInt32LE(frameOffsets.body) - first.length;
      this.#take(first, chunkWindowBytes);
    } else if (kind === FrameKind.Chunk) {
      const chunk = frame.subarray(frameOffsets.body);
      this.#bytesToCome -= chunk.length;
      this.#take(chunk, chunk.length);
    }
  }

  fail(_ref: number, error: unknown): void {
    // A call that never ran must not shadow the next one with its key.
    if (isHoldfastError(error) && error.outcome === 'not-run') this.#forget();
    this.#settle({ kind: 'error', error });
  }

  moved(): void {
    this.#forget();
    for (const follower of this.#followers) follower.moved();
    this.#followers.clear();
  }

  done(): void {
    // The answer was settled with its last frame.
  }

  #take(bytes: Buffer, credit: number): void {
    this.#parts.push(Buffer.from(bytes));
    if (this.#bytesToCome <= 0) {
      const payload = Buffer.concat(this.#parts);
      this.#parts = [];
      this.#settle({ kind: 'result', payload });
    } else if (this.call?.container) {
      this.call.container.credit(this.call, credit);
    }
  }

  #settle(answer: Answer): void {
    this.#answer = answer;
    for (const follower of this.#followers) follower.deliver(answer);
    this.#followers.clear();
  }
}

/** One caller of a keyed call. */
export class KeyedFollower {
  readonly caller: Caller;
  readonly ref: number;
  #rest: Buffer | null = null;
  #isDone = false;

  constructor(caller: Caller, ref: number) {
    this.caller = caller;
    this.ref = ref;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  deliver(answer: Answer): void {
    if (this.#isDone) return;
    if (answer.kind === 'error') return this.#end(() => this.caller.fail(this.ref, answer.error));
    if (answer.kind === 'error-frame') return this.#end(() => this.caller.forward(answer.frame, this.ref));
    const first = answer.payload.subarray(0, inlinePayloadBytes);
    const frame = frameOf(FrameKind.Result, first, answer.payload.length);
    this.#rest = answer.payload.subarray(first.length);
    this.caller.forward(frame, this.ref);
    if (this.#rest.length === 0) this.#end(() => undefined);
  }

  credit(bytes: number): void {
    for (let left = bytes; left > 0 && this.#rest !== null && this.#rest.length > 0; ) {
      const chunk = this.#rest.subarray(0, Math.min(left, inlinePayloadBytes));
      this.#rest = this.#rest.subarray(chunk.length);
      left -= chunk.length;
      this.caller.forward(frameOf(FrameKind.Chunk, chunk, null), this.ref);
    }
    if (this.#rest?.length === 0) this.#end(() => undefined);
  }

  /** This caller alone goes away; the call goes on for the others. */
  cancel(byDeadline: boolean): void {
    const code = byDeadline ? 'DeadlineExceeded' : 'Cancelled';
    const error = new HoldfastError(code, 'stopped waiting for a call with an idempotency key that goes on', {
      outcome: 'unknown',
    });
    this.#end(() => this.caller.fail(this.ref, error));
  }

  moved(): void {
    this.#end(() => this.caller.moved(this.ref));
  }

  #end(last: () => void): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#rest = null;
    last();
    this.caller.done(this.ref);
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
