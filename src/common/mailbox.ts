import type { Clock, Monotonic } from './clock.js';

/** What admission must know of a call; the rest of it belongs to whoever hosts the instance. */
export interface MailboxCall {
  readonly callId: string;
  /** The calls that wait for this one, outermost first; null for a call from outside. */
  readonly chain: readonly { readonly callId: string; readonly label: string }[] | null;
  /** A reader: takes no slot (`@method({ concurrent: true })`). */
  readonly concurrent: boolean;
  /** Set by the mailbox. */
  startedAt: Monotonic;
}

export interface MailboxLimits {
  readonly concurrentRequests: number;
  readonly maxPendingTasks: number;
}

export type Admission =
  | { readonly verdict: 'run' }
  | { readonly verdict: 'wait' }
  | { readonly verdict: 'deadlock'; readonly chain: readonly string[] }
  | { readonly verdict: 'full'; readonly limit: number; readonly pending: number; readonly retryAfterMs: number };

const run: Admission = { verdict: 'run' };
const wait: Admission = { verdict: 'wait' };

/**
 * Admission to one instance (C1): exact, in one step, first in first out.
 *
 * I1. Calls that hold a slot never exceed `concurrentRequests`, those that wait never `maxPendingTasks`.
 * I2. A freed slot goes to the call that has waited longest before anyone new can have it.
 * I3. A call whose own chain holds every slot is refused, it could never run.
 */
export class Mailbox<C extends MailboxCall> {
  readonly #limits: MailboxLimits;
  readonly #clock: Clock;
  // Made when the first call needs them: very many instances have none for a long time.
  /** Calls with a slot. */
  #running: Set<C> | null = null;
  #readers: Set<C> | null = null;
  /** In the order of arrival; a Set because a cancelled call leaves from the middle. */
  #waiting: Set<C> | null = null;
  /** Smoothed time for which a call holds its slot, for `retryAfterMs`. */
  #serviceMs = 0;
  #lastReleasedAt: Monotonic;

  constructor(limits: MailboxLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#lastReleasedAt = clock.monotonic();
  }

  /** When a call last ended, or the mailbox was made; what an idle timeout counts from. */
  get lastReleasedAt(): Monotonic {
    return this.#lastReleasedAt;
  }

  get running(): number {
    return (this.#running?.size ?? 0) + (this.#readers?.size ?? 0);
  }

  get pending(): number {
    return this.#waiting?.size ?? 0;
  }

  admit(call: C): Admission {
    if (call.concurrent) return this.#admitReader(call);
    this.#running ??= new Set();
    if (this.#running.size < this.#limits.concurrentRequests) {
      this.#start(this.#running, call);
      return run;
    }
    if (call.chain !== null && this.#holdsEverySlot(call.chain)) {
      return { verdict: 'deadlock', chain: call.chain.map((link) => link.label) };
    }
    if (this.pending >= this.#limits.maxPendingTasks) return this.#full();
    this.#waiting ??= new Set();
    this.#waiting.add(call);
    return wait;
  }

  /** The call's code has really stopped. Returns the call that has its slot now, if one waited. */
  release(call: C): C | undefined {
    this.#lastReleasedAt = this.#clock.monotonic();
    if (this.#readers?.delete(call) || !this.#running?.delete(call)) return undefined;
    this.#serviceMs += (this.#lastReleasedAt - call.startedAt - this.#serviceMs) / 8;
    const next = this.#waiting?.values().next().value;
    if (next === undefined) return undefined;
    this.#waiting?.delete(next);
    this.#start(this.#running, next);
    return next;
  }

  /** Takes a waiting call out; false where it does not wait (any more). */
  withdraw(call: C): boolean {
    return this.#waiting?.delete(call) ?? false;
  }

  /** Takes out all that wait, oldest first. */
  withdrawAll(): C[] {
    const calls = [...(this.#waiting ?? [])];
    this.#waiting = null;
    return calls;
  }

  /** Calls whose code runs, readers included. */
  runningCalls(): C[] {
    return [...(this.#running ?? []), ...(this.#readers ?? [])];
  }

  /** Readers take no slot, but what is unbounded ends in an outage: together they stay below what the mailbox could hold. */
  #admitReader(call: C): Admission {
    this.#readers ??= new Set();
    if (this.#readers.size >= this.#limits.concurrentRequests + this.#limits.maxPendingTasks) return this.#full();
    this.#start(this.#readers, call);
    return run;
  }

  #start(into: Set<C>, call: C): void {
    call.startedAt = this.#clock.monotonic();
    into.add(call);
  }

  #holdsEverySlot(chain: readonly { readonly callId: string }[]): boolean {
    for (const holder of this.#running ?? []) {
      if (!chain.some((link) => link.callId === holder.callId)) return false;
    }
    return true;
  }

  #full(): Admission {
    const { maxPendingTasks, concurrentRequests } = this.#limits;
    const queue = Math.max(1, this.pending);
    const retryAfterMs = Math.max(1, Math.ceil((this.#serviceMs * queue) / concurrentRequests));
    return { verdict: 'full', limit: maxPendingTasks, pending: this.pending, retryAfterMs };
  }
}
