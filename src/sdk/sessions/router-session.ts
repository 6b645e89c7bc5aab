import type { Clock, Monotonic, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import { decodeError } from '../../wire/errors.js';
import {
  ControlBatch,
  type ControlReply,
  ControlReplyBatch,
  type ControlRequest,
  type PinView,
} from '../../wire/gen/holdfast/v1/router.js';
import { tracing } from '../../wire/tracing.js';
import { type Abortable, unwatchAbort, watchAbort } from '../calls/abort-fan.js';
import type { KeepAlive } from './keep-alive.js';
import { type ControlOp, cancelled, isFinal, noAnswer, tooMany, unreachable, wrongAnswer } from './router-errors.js';

export interface RequestOptions {
  /** 0: none of the caller's own; the router then answers within a minute. */
  readonly remainingMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface RouterSessionInit {
  readonly open: () => Channel;
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly keepAlive: KeepAlive;
  /** For messages. */
  readonly endpoint: string;
}

type Answer = Exclude<NonNullable<ControlReply['result']>, { $case: 'error' }>;
type AnswerOf<C extends Answer['$case']> = Extract<Answer, { $case: C }>['value'];

interface Pending extends Abortable {
  readonly id: number;
  readonly op: ControlOp;
  readonly deadline: Monotonic;
  readonly signal: AbortSignal | undefined;
  readonly timer: WheelEntry;
  readonly traceparent: string;
  /** On the stream that is open. */
  isSent: boolean;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/** The router's own limit for a request without one. */
const defaultMs = 60_000;
/** The router enforces a deadline; without its answer the client gives up this much later. */
const backstopMs = 200;
/** A router that was never reached: a wrong endpoint should not take a minute to be said. */
const firstContactMs = 5_000;
const maxOutstanding = 65_536;
/** Below gRPC's limit of 4 MiB for a message, whatever the arguments are. */
const maxBatchBytes = 1_048_576;
const maxBatchRequests = 512;
const longestBackoffMs = 2_000;
const nothing = Buffer.alloc(0);

/**
 * The control stream to a router: many requests in flight, batched per turn of the event loop.
 *
 * I1. Requests are idempotent: those that are outstanding when a stream breaks go out again on the next one, until their
 *     deadlines (S4: what a lost answer hid is found, not done twice).
 * I2. Every request is settled by its deadline, and there are at most `maxOutstanding`.
 * I3. A fresh instance whose answer comes when nobody waits for it any more is closed: nobody knows its id. (The router does the
 *     same where it hears of the cancel before it has answered.)
 */
export class RouterSession {
  readonly #init: RouterSessionInit;
  readonly #pending = new Map<number, Pending>();
  /** Sent, given up here, and not answered yet, on this stream; each gets one answer. */
  readonly #unwanted = new Set<number>();
  /** Ids to send, in order; some may be settled by then. */
  #unsent: number[] = [];
  #cancels: number[] = [];
  #channel: Channel | null = null;
  #isBlocked = false;
  #isFlushing = false;
  #isTicking = false;
  #hasAnswered = false;
  #failedSince: Monotonic | null = null;
  #failures = 0;
  #retry: Timer | null = null;
  #lastId = 0;
  #isClosed = false;

  constructor(init: RouterSessionInit) {
    this.#init = init;
  }

  /** @param wanted the kind of its answer @throws what the router answers, Unavailable, Cancelled, DeadlineExceeded */
  async ask<C extends Answer['$case']>(wanted: C, op: ControlOp, options: RequestOptions): Promise<AnswerOf<C>> {
    const answer = await this.#request(op, options);
    if (answer.$case === wanted) return answer.value as AnswerOf<C>;
    throw wrongAnswer(op.$case, answer.$case);
  }

  shut(error: HoldfastError): void {
    this.#isClosed = true;
    this.#retry?.cancel();
    const channel = this.#channel;
    this.#channel = null;
    this.#failAll(error);
    channel?.close();
  }

  #request(op: ControlOp, { remainingMs, signal }: RequestOptions): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new HoldfastError('Cancelled', 'the client is closed; make another one'));
    if (signal?.aborted) return Promise.reject(cancelled(op, 'not-run'));
    if (this.#pending.size >= maxOutstanding) return Promise.reject(tooMany(maxOutstanding));
    const { clock, keepAlive, wheel } = this.#init;
    const id = this.#nextId();
    const limitMs = remainingMs === 0 ? defaultMs : remainingMs;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        wheel.remove(pending.timer);
        if (signal !== undefined) unwatchAbort(signal, pending);
        this.#pending.delete(id);
        keepAlive.leave();
      };
      const pending: Pending = {
        id,
        op,
        signal,
        isSent: false,
        deadline: clock.monotonic() + limitMs,
        traceparent: tracing.active?.current() ?? '',
        timer: wheel.add(limitMs + backstopMs, () => {
          this.#giveUp(pending);
          pending.reject(noAnswer(op, this.#init.endpoint, limitMs));
        }),
        resolve: (answer) => {
          settle();
          resolve(answer);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
        aborted: () => {
          this.#giveUp(pending);
          pending.reject(cancelled(op, 'unknown'));
        },
      };
      keepAlive.enter();
      if (signal !== undefined) watchAbort(signal, pending);
      this.#pending.set(id, pending);
      this.#unsent.push(id);
      if (this.#pending.size === 1) this.#flushThisTick();
      else this.#flushSoon();
    });
  }

  #nextId(): number {
    do this.#lastId = (this.#lastId % 0xffff_fffe) + 1;
    while (this.#pending.has(this.#lastId) || this.#unwanted.has(this.#lastId));
    return this.#lastId;
  }

  #giveUp({ id, op, isSent }: Pending): void {
    if (!isSent) return;
    this.#cancels.push(id);
    if (op.$case === 'create' && op.value.id === '' && this.#unwanted.size < maxOutstanding) this.#unwanted.add(id);
    this.#flushSoon();
  }

  /** I3. Nobody waits for that either; where it fails its worker has it until it is lost. */
  #closeUnwanted({ handle }: PinView): void {
    if (handle === undefined) return;
    const op = { $case: 'close', value: { target: { $case: 'handle', value: handle }, force: true } } as const;
    void this.#request(op, { remainingMs: defaultMs }).catch(() => undefined);
  }

  /** The first of what may be many that are asked for at once: when the code that runs now is done. */
  #flushThisTick(): void {
    if (this.#isTicking) return;
    this.#isTicking = true;
    process.nextTick(() => {
      this.#isTicking = false;
      this.#flush();
    });
  }

  #flushSoon(): void {
    if (this.#isFlushing || this.#isTicking) return;
    this.#isFlushing = true;
    setImmediate(() => {
      this.#isFlushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#isClosed || this.#isBlocked || this.#retry !== null) return;
    if (this.#channel === null && this.#pending.size > 0) this.#open();
    while (this.#channel !== null && !this.#isBlocked && this.#unsent.length + this.#cancels.length > 0) {
      const requests = this.#takeBatch();
      if (requests.length === 0) return;
      this.#isBlocked = !this.#channel.send(ControlBatch.encode({ requests, closeError: nothing }).finish());
    }
  }

  #takeBatch(): ControlRequest[] {
    const requests: ControlRequest[] = this.#cancels
      .splice(0)
      .map((id) => ({ requestId: id, remainingMs: 0, traceparent: '', op: { $case: 'cancel', value: id } }));
    const now = this.#init.clock.monotonic();
    let bytes = 0;
    let taken = 0;
    while (taken < this.#unsent.length && requests.length < maxBatchRequests && bytes < maxBatchBytes) {
      const pending = this.#pending.get(this.#unsent[taken] as number);
      taken += 1;
      if (pending === undefined) continue;
      const remainingMs = Math.max(1, Math.ceil(pending.deadline - now));
      pending.isSent = true;
      requests.push({ requestId: pending.id, remainingMs, traceparent: pending.traceparent, op: pending.op });
      bytes += 256 + argsBytes(pending.op);
    }
    this.#unsent = this.#unsent.slice(taken);
    return requests;
  }

  #open(): void {
    const channel = this.#init.open();
    this.#channel = channel;
    this.#isBlocked = false;
    channel.open({
      onMessage: (message) => this.#onMessage(channel, message),
      onDrain: () => {
        this.#isBlocked = false;
        this.#flush();
      },
      onClosed: (error) => this.#onClosed(channel, error),
    });
  }

  #onMessage(channel: Channel, message: Uint8Array): void {
    if (channel !== this.#channel) return;
    this.#hasAnswered = true;
    this.#failures = 0;
    this.#failedSince = null;
    let replies: ControlReply[];
    try {
      replies = ControlReplyBatch.decode(message).replies;
    } catch {
      // Not a router of ours: the stream ends, and is opened again for what is outstanding.
      return channel.close(new HoldfastError('InvalidArgument', 'the router sent what is no reply'));
    }
    for (const { requestId, result } of replies) {
      const pending = this.#pending.get(requestId);
      if (this.#unwanted.delete(requestId) && result?.$case === 'pin') this.#closeUnwanted(result.value);
      if (pending === undefined || result === undefined) continue;
      if (result.$case === 'error') pending.reject(decodeError(result.value));
      else pending.resolve(result);
    }
  }

  #onClosed(channel: Channel, error: Error | null): void {
    if (channel !== this.#channel) return;
    this.#channel = null;
    this.#isBlocked = false;
    this.#cancels = [];
    this.#unwanted.clear();
    this.#unsent = [...this.#pending.keys()];
    for (const pending of this.#pending.values()) pending.isSent = false;
    if (this.#unsent.length === 0) return;
    const now = this.#init.clock.monotonic();
    this.#failedSince ??= now;
    if (isFinal(error)) return this.#failAll(error);
    if (!this.#hasAnswered && now - this.#failedSince >= firstContactMs) {
      return this.#failAll(unreachable(this.#init.endpoint, error));
    }
    const delayMs = Math.min(longestBackoffMs, 25 * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = this.#init.clock.after(delayMs, () => {
      this.#retry = null;
      this.#flush();
    });
  }

  #failAll(error: HoldfastError): void {
    this.#unsent = [];
    this.#failedSince = null;
    for (const pending of [...this.#pending.values()]) pending.reject(error);
  }
}

function argsBytes(op: ControlOp): number {
  return op.$case === 'create' || op.$case === 'close' ? (op.value.args?.length ?? 0) : 0;
}
