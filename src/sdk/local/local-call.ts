import type { Monotonic, Timer } from '../../common/clock.js';
import type { CallContext, CallLink } from '../../common/context.js';
import type { HoldfastError } from '../../common/errors.js';
import type { LinkedList } from '../../common/linked-list.js';
import type { MailboxCall } from '../../common/mailbox.js';
import { type Abortable, unwatchAbort, watchAbort } from '../calls/abort-fan.js';
import type { MethodPlan } from '../calls/method-plan.js';
import { cancelled, deadlineExceeded } from './local-errors.js';
import type { LocalHost } from './local-host.js';

export interface LocalCallInit {
  readonly plan: MethodPlan;
  readonly concurrent: boolean;
  readonly callId: string;
  readonly attempt: number;
  /** The call that makes this one. */
  readonly outer: CallContext | null;
  readonly deadline: Monotonic | null;
  readonly signal: AbortSignal | null;
}

/**
 * One attempt of one call to a local instance: it waits for its turn, runs, and holds its slot until its code has stopped,
 * whatever its caller was told meanwhile (C4).
 */
export class LocalCall implements MailboxCall<LocalCall>, Abortable {
  readonly callId: string;
  readonly chain: readonly CallLink[] | null;
  readonly concurrent: boolean;
  readonly what: string;
  readonly controller = new AbortController();
  /** Settles when it is its turn; rejects when that will never be. */
  readonly turn: Promise<void>;
  /** Never resolves; rejects when its caller must not wait any more. */
  readonly given: Promise<never>;
  startedAt: Monotonic = 0;
  list: LinkedList<LocalCall> | null = null;
  previous: LocalCall | null = null;
  next: LocalCall | null = null;
  isRunning = false;
  /** Told before its turn that it will not have one. */
  isRefused = false;
  readonly #host: LocalHost;
  readonly #init: LocalCallInit;
  readonly #timers: Timer[] = [];
  #begin: () => void = noop;
  #refuse: (error: unknown) => void = noop;
  #giveUp: (error: unknown) => void = noop;

  constructor(host: LocalHost, init: LocalCallInit) {
    this.#host = host;
    this.#init = init;
    this.callId = init.callId;
    this.concurrent = init.concurrent;
    this.chain = init.outer?.chain ?? null;
    this.what = `${host.label}.${init.plan.name}`;
    this.turn = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#refuse = reject;
    });
    this.given = new Promise((_, reject) => {
      this.#giveUp = reject;
    });
    // Whoever waits hears of it; nobody may be waiting.
    this.turn.catch(noop);
    this.given.catch(noop);
  }

  get plan(): MethodPlan {
    return this.#init.plan;
  }

  /** What its code throws is ours, not the user's. */
  get isBuiltIn(): boolean {
    return this.#host.isBuiltIn;
  }

  /** Before its admission. */
  watch(): void {
    const { signal, outer, deadline } = this.#init;
    for (const each of [signal, outer?.signal ?? null]) if (each !== null) watchAbort(each, this);
    if (deadline === null) return;
    const leftMs = Math.max(0, deadline - this.#host.clock.monotonic());
    this.#after(leftMs, () => this.stop(deadlineExceeded(this.what, 'caller', this.isRunning)));
  }

  /** It has a slot. */
  start(): void {
    const { timeoutMs } = this.#host.options;
    this.isRunning = true;
    this.#after(timeoutMs, () => this.stop(deadlineExceeded(this.what, 'class', true)));
    this.#begin();
  }

  /** Its caller is told at once; its code, where it runs, by its signal. */
  stop(error: HoldfastError): void {
    if (!this.isRunning) this.#host.withdraw(this);
    this.isRefused = !this.isRunning;
    this.#refuse(error);
    this.#giveUp(error);
    this.controller.abort(error);
  }

  aborted(): void {
    this.stop(cancelled(this.what, this.isRunning));
  }

  /** Its code has stopped, or it never ran. */
  end(): void {
    for (const timer of this.#timers.splice(0)) timer.cancel();
    const { signal, outer } = this.#init;
    for (const each of [signal, outer?.signal ?? null]) if (each !== null) unwatchAbort(each, this);
  }

  context(): CallContext {
    const { attempt, deadline, outer } = this.#init;
    const link = { callId: this.callId, label: this.what };
    return {
      ...this.#host.facts,
      callId: this.callId,
      attempt,
      signal: this.controller.signal,
      chain: [...(outer?.chain ?? []), link],
      deadline,
      traceparent: outer?.traceparent ?? null,
    };
  }

  #after(ms: number, due: () => void): void {
    this.#timers.push(this.#host.clock.after(ms, due));
  }
}

function noop(): void {
  // Replaced by the promises' own.
}
