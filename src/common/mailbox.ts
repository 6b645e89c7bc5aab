import type { Clock, Monotonic } from './clock.js';
import { type Linked, LinkedList } from './linked-list.js';

/** What admission must know of a call; the rest of it belongs to whoever hosts the instance. */
export interface MailboxCall<C> extends Linked<C> {
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
  /** Readers at once; default: as many as calls can run and wait. */
  readonly maxReaders?: number;
}

export type Admission =
  | { readonly verdict: 'run' }
  | { readonly verdict: 'wait' }
  | { readonly verdict: 'deadlock'; readonly chain: readonly string[] }
  | { readonly verdict: 'full'; readonly limit: number; readonly pending: number; readonly retryAfterMs: number };

/** Slower ones gain nothing from being sent ahead. */
const quickMs = 2;
const stuckMs = 10;

const run: Admission = { verdict: 'run' };
const wait: Admission = { verdict: 'wait' };

/**
 * Admission to one instance (C1): exact, in one step, first in first out.
 *
 * I1. Calls that hold a slot never exceed `concurrentRequests`, those that wait never `maxPendingTasks`.
 * I2. A freed slot goes to the call that has waited longest before anyone new can have it.
 * I3. A call whose own chain holds every slot is refused, it could never run.
 * I4. Those that were sent ahead wait like the others, and in front of them.
 */
export class Mailbox<C extends MailboxCall<C>> {
  readonly #limits: MailboxLimits;
  readonly #clock: Clock;
  /** Calls with a slot. */
  readonly #running = new LinkedList<C>();
  readonly #readers = new LinkedList<C>();
  readonly #waiting = new LinkedList<C>();
  /** They wait too, but their host has them already. */
  readonly #ahead = new LinkedList<C>();
  /** Smoothed time for which a call holds its slot; null before the first has ended. */
  #serviceMs: number | null = null;
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
    return this.#running.size + this.#readers.size;
  }

  get pending(): number {
    return this.#waiting.size + this.#ahead.size;
  }

  /** Of those that wait, how many were sent ahead. */
  get ahead(): number {
    return this.#ahead.size;
  }

  /** An idle timeout counts from now. */
  touch(): void {
    this.#lastReleasedAt = this.#clock.monotonic();
  }

  admit(call: C): Admission {
    if (call.concurrent) return this.#admitReader(call);
    if (this.#running.size < this.#limits.concurrentRequests) {
      this.#start(this.#running, call);
      return run;
    }
    if (call.chain !== null && this.#holdsEverySlot(call.chain)) {
      return { verdict: 'deadlock', chain: call.chain.map((link) => link.label) };
    }
    if (this.pending >= this.#limits.maxPendingTasks) return this.#full();
    this.#waiting.push(call);
    return wait;
  }

  /** The call's code has really stopped. Returns the call that has its slot now, if one waited. */
  release(call: C): C | undefined {
    this.#lastReleasedAt = this.#clock.monotonic();
    if (this.#readers.delete(call) || !this.#running.delete(call)) return undefined;
    const heldMs = this.#lastReleasedAt - call.startedAt;
    this.#serviceMs = this.#serviceMs === null ? heldMs : this.#serviceMs + (heldMs - this.#serviceMs) / 8;
    const next = this.#ahead.first ?? this.#waiting.first;
    if (next === null) return undefined;
    this.withdraw(next);
    this.#start(this.#running, next);
    return next;
  }

  /** Takes a waiting call out; false where it does not wait (any more). */
  withdraw(call: C): boolean {
    return this.#ahead.delete(call) || this.#waiting.delete(call);
  }

  /** Calls have been quick lately, and the one that has run longest still may be. */
  get isQuick(): boolean {
    if (this.#serviceMs === null || this.#serviceMs > quickMs) return false;
    const oldest = this.#running.first;
    return oldest === null || this.#clock.monotonic() - oldest.startedAt < stuckMs;
  }

  /** The call that has waited longest and was not sent ahead. */
  nextToSend(): C | undefined {
    return this.#waiting.first ?? undefined;
  }

  /** `nextToSend` is on its way: it gets its slot before all that wait here. */
  sentAhead(call: C): void {
    if (this.#waiting.delete(call)) this.#ahead.push(call);
  }

  isAhead(call: C): boolean {
    return this.#ahead.has(call);
  }

  callsAhead(): C[] {
    return this.#ahead.items();
  }

  /** Takes out all that wait and were not sent ahead, oldest first. */
  withdrawAll(): C[] {
    const calls = this.#waiting.items();
    for (const call of calls) this.#waiting.delete(call);
    return calls;
  }

  /** Calls whose code runs, readers included. */
  runningCalls(): C[] {
    return [...this.#running.items(), ...this.#readers.items()];
  }

  /** Readers take no slot, but what is unbounded ends in an outage: together they stay below what the mailbox could hold. */
  #admitReader(call: C): Admission {
    const { concurrentRequests, maxPendingTasks, maxReaders = concurrentRequests + maxPendingTasks } = this.#limits;
    if (this.#readers.size >= maxReaders) return this.#full();
    this.#start(this.#readers, call);
    return run;
  }

  #start(into: LinkedList<C>, call: C): void {
    call.startedAt = this.#clock.monotonic();
    into.push(call);
  }

  #holdsEverySlot(chain: readonly { readonly callId: string }[]): boolean {
    for (const holder of this.#running.items()) {
      if (!chain.some((link) => link.callId === holder.callId)) return false;
    }
    return true;
  }

  #full(): Admission {
    const { maxPendingTasks, concurrentRequests } = this.#limits;
    const queue = Math.max(1, this.pending);
    const retryAfterMs = Math.max(1, Math.ceil(((this.#serviceMs ?? 0) * queue) / concurrentRequests));
    return { verdict: 'full', limit: maxPendingTasks, pending: this.pending, retryAfterMs };
  }
}
