import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import {
  CancelReason,
  chunkWindowBytes,
  defaultMaxPayloadBytes,
  FrameKind,
  frameOffsets,
} from '../../wire/frames/frames.js';
import { type Answer, KeyedFollower } from './keyed-follower.js';
import type { Caller, WorkerCall } from './worker-call.js';

/** How long, and for how many keys of one activation, an answer is kept (C7). */
const keptMs = 600_000;
const keptKeys = 10_000;
/** The oldest answers go earlier where all of one activation take more than this. */
const keptBytes = 67_108_864;

/**
 * Calls with an idempotency key, of one activation: the first one runs, others with its key join it or get its answer.
 *
 * I1. A key is known from its first call until ten minutes after its answer; one of a call that never ran is not.
 */
export class KeyedCalls {
  readonly #clock: Clock;
  readonly #underway = new Map<string, KeyedCall>();
  /** In the order of the answers, which is the order in which they expire. */
  readonly #answered = new Map<
    string,
    { readonly call: KeyedCall; readonly until: Monotonic; readonly bytes: number }
  >();
  #answeredBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Null: nobody has used the key, the caller now must (`begin`). */
  find(key: string): KeyedCall | null {
    this.#expire(this.#clock.monotonic());
    return this.#underway.get(key) ?? this.#answered.get(key)?.call ?? null;
  }

  begin(key: string): KeyedCall {
    const call: KeyedCall = new KeyedCall({
      answered: (bytes) => this.#onAnswer(key, call, bytes),
      forget: () => this.#forget(key, call),
    });
    this.#underway.set(key, call);
    return call;
  }

  /** False: another call has the key now, or none. */
  #forget(key: string, call: KeyedCall): boolean {
    return this.#underway.get(key) === call && this.#underway.delete(key);
  }

  #onAnswer(key: string, call: KeyedCall, answerBytes: number): void {
    if (!this.#forget(key, call)) return;
    const bytes = answerBytes + key.length;
    this.#answered.set(key, { call, until: this.#clock.monotonic() + keptMs, bytes });
    this.#answeredBytes += bytes;
    this.#expire(this.#clock.monotonic());
  }

  #expire(now: Monotonic): void {
    for (const [key, { until, bytes }] of this.#answered) {
      const isTooMuch = this.#answered.size > keptKeys || (this.#answeredBytes > keptBytes && this.#answered.size > 1);
      if (until > now && !isTooMuch) return;
      this.#answered.delete(key);
      this.#answeredBytes -= bytes;
    }
  }
}

/** What one call with a key tells of itself. */
interface KeyBook {
  readonly answered: (bytes: number) => void;
  /** It never ran: the next call with its key is the first. */
  readonly forget: () => void;
}

/**
 * One call with a key, as its own caller: it takes in the whole answer and hands it to all who follow it. The first of them
 * sends the arguments.
 */
export class KeyedCall implements Caller {
  readonly #book: KeyBook;
  readonly #followers = new Set<KeyedFollower>();
  #call: WorkerCall | null = null;
  #sender: KeyedFollower | null = null;
  /** Of an answer that is still on its way from the container. */
  #parts: Buffer[] = [];
  #bytesToCome = 0;
  #answer: Answer | null = null;

  constructor(book: KeyBook) {
    this.#book = book;
  }

  /** Answers at once where the answer is known. */
  join(caller: Caller, ref: number): KeyedFollower {
    const follower = new KeyedFollower(this, caller, ref);
    if (this.#answer === null) this.#followers.add(follower);
    else follower.deliver(this.#answer);
    return follower;
  }

  /** @param call the one that runs for all of them @param sender who has its arguments */
  begin(call: WorkerCall, sender: KeyedFollower): void {
    this.#call = call;
    this.#sender = sender;
  }

  /** A chunk of the arguments. @throws InvalidArgument where nobody asked for it */
  chunk(follower: KeyedFollower, frame: Buffer): void {
    if (follower === this.#sender) this.#call?.chunk(frame);
  }

  /**
   * One of the callers goes away; the call goes on for the others, and for who asks with the key again. True: it never runs,
   * because nobody waits for it and it has not begun (C5), or because the rest of its arguments was lost with its sender.
   */
  leave(follower: KeyedFollower): boolean {
    const call = this.#call;
    if (!this.#followers.delete(follower) || call === null) return false;
    const isCutOff = follower === this.#sender && call.argumentBytesToCome > 0;
    const isUnwanted = this.#followers.size === 0 && call.container === null;
    if (!isCutOff && !isUnwanted) return false;
    // The others may have the arguments: they come again, as if it had never been here.
    this.moved();
    call.instance.calls.cancel(call, CancelReason.caller);
    return true;
  }

  forward(frame: Buffer): void {
    if (this.#answer !== null) return;
    const kind = frame.readUInt8(frameOffsets.kind);
    if (kind === FrameKind.Credit) {
      this.#sender?.forward(frame);
    } else if (kind === FrameKind.Error) {
      this.#settle({ kind: 'error-frame', frame: Buffer.from(frame) });
    } else if (kind === FrameKind.Result) {
      const total = frame.readUInt32LE(frameOffsets.body);
      const first = frame.subarray(frameOffsets.body + 4);
      this.#bytesToCome = total - first.length;
      if (total > defaultMaxPayloadBytes) this.#refuseResult(total);
      else this.#take(first, chunkWindowBytes);
    } else if (kind === FrameKind.Chunk) {
      const chunk = frame.subarray(frameOffsets.body);
      this.#bytesToCome -= chunk.length;
      this.#take(chunk, chunk.length);
    }
  }

  fail(_ref: number, error: unknown): void {
    // A call that never ran must not shadow the next one with its key.
    if (isHoldfastError(error) && error.outcome === 'not-run') this.#book.forget();
    this.#settle({ kind: 'error', error });
  }

  moved(): void {
    this.#book.forget();
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.moved();
  }

  done(): void {
    // The answer was settled with its last frame.
  }

  #take(bytes: Buffer, credit: number): void {
    this.#parts.push(Buffer.from(bytes));
    if (this.#bytesToCome > 0) {
      if (this.#call !== null) this.#call.container?.credit(this.#call, credit);
      return;
    }
    const payload = Buffer.concat(this.#parts);
    this.#parts = [];
    this.#settle({ kind: 'result', payload });
  }

  #refuseResult(bytes: number): void {
    const message = `the result takes ${bytes} bytes, that of a call with an idempotency key may take ${defaultMaxPayloadBytes}`;
    const call = this.#call;
    this.fail(0, new HoldfastError('PayloadTooLarge', message, { outcome: 'ran', details: { bytes } }));
    if (call !== null) call.container?.cancel(call, CancelReason.caller);
  }

  #settle(answer: Answer): void {
    if (this.#answer !== null) return;
    this.#answer = answer;
    this.#call = null;
    this.#sender = null;
    this.#book.answered(sizeOf(answer));
    const followers = [...this.#followers];
    this.#followers.clear();
    for (const follower of followers) follower.deliver(answer);
  }
}

/** Of what is kept for it; errors of our own are small. */
function sizeOf(answer: Answer): number {
  if (answer.kind === 'result') return answer.payload.length;
  return answer.kind === 'error-frame' ? answer.frame.length : 1_024;
}
