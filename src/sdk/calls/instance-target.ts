import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { KeepAlive } from '../sessions/keep-alive.js';
import type { WorkerSession } from '../sessions/worker-session.js';
import { deadlineExceeded, neverSettled, tooManyWaiting } from './call-errors.js';
import type { BoundSlot, Placement } from './placement.js';
import type { RemoteCall } from './remote-call.js';
import type { SpawnedHost } from './remote-spawned.js';

/** What a target needs of its client. */
export interface TargetHost extends SpawnedHost {
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly keepAlive: KeepAlive;
  /** The session with the worker at that address; opened where there is none. */
  session(address: string): WorkerSession;
  /** See `ClientTransport`; null: there is no such way. */
  readonly openBytes: ((address: string, ticket: string) => ByteStream) | null;
  /** Where the instance is now. @throws what the router answers */
  resolve(placement: Placement, options: ResolveOptions): Promise<Placement>;
}

export interface ResolveOptions {
  /** 0: none failed. */
  readonly failedEpoch: number;
  readonly remainingMs: number;
  readonly signal: AbortSignal;
}

type TargetState =
  /** At the worker that its placement names, once a call needs it. */
  | { readonly phase: 'placed' }
  | ({ readonly phase: 'bound' } & BoundSlot)
  /** Being looked up again. Calls that were sent to the old place may still be answered from there. */
  | { readonly phase: 'moving'; readonly lookup: AbortController }
  | { readonly phase: 'gone'; readonly error: HoldfastError };

const maxWaitingCalls = 10_000;
const longestBackoffMs = 500;

/** Slots of targets that nobody holds any more. */
const forgotten = new FinalizationRegistry<BoundSlot>((bound) => bound.session.unbind(bound.slot));

/**
 * One instance as this client calls it: where it is, and the order of its calls.
 *
 * I1. Calls are sent in their order; those that moved are sent again before any later one (C2).
 * I2. Nothing is sent to a new place while a call at the old one is neither answered nor moved (C2).
 * I3. Calls wait only while the target is `moving`, each until its own deadline.
 */
export class InstanceTarget {
  readonly host: TargetHost;
  readonly label: string;
  #placement: Placement;
  #state: TargetState = { phase: 'placed' };
  readonly #waiting = new Set<RemoteCall>();
  /** Calls at the worker that `#state` names, or named before it moved. */
  #inFlight = 0;
  #whenQuiet: (() => void) | null = null;
  #lastOrder = 0;
  #movesInARow = 0;

  /** @param bound where its worker knows it by a slot already */
  constructor(host: TargetHost, placement: Placement, bound?: BoundSlot) {
    this.host = host;
    this.#placement = placement;
    this.label = `${placement.handle.app}/${placement.handle.name}/${placement.handle.id}`;
    if (bound !== undefined) this.#hold(bound);
  }

  get placement(): Placement {
    return this.#placement;
  }

  /** It was closed, or lost for good: every call of it fails with that. */
  get gone(): HoldfastError | null {
    return this.#state.phase === 'gone' ? this.#state.error : null;
  }

  /** A place that somebody else has learned; an older one than ours is dropped. */
  update(placement: Placement): void {
    if (placement.epoch <= this.#placement.epoch || this.#state.phase === 'moving') return;
    if (this.#state.phase === 'bound' && this.#inFlight > 0) return;
    this.#unbind();
    this.#placement = placement;
    this.#state = { phase: 'placed' };
  }

  /** A new call, or one that runs again: the last in order. */
  accept(call: RemoteCall): void {
    call.order = ++this.#lastOrder;
    const state = this.#state;
    switch (state.phase) {
      case 'bound':
        if (state.session.isOpen) return this.#send(call, state.session, state.slot);
        this.#wait(call);
        return this.#move();
      case 'placed':
        this.#bind();
        return this.accept(call);
      case 'moving':
        return this.#wait(call);
      case 'gone':
        return call.fail(state.error);
      default:
        return state satisfies never;
    }
  }

  /** It was sent and not admitted: it keeps its place in the order. @param isThere its place did not fail */
  takeBack(call: RemoteCall, isThere = false): void {
    if (this.#state.phase === 'gone') return call.fail(this.#state.error);
    if (this.#state.phase === 'placed') this.#bind();
    this.#waiting.add(call);
    this.#move(isThere);
  }

  /** It was settled while it waited. */
  withdraw(call: RemoteCall): void {
    if (this.#waiting.delete(call) && this.#waiting.size === 0 && this.#state.phase === 'moving') {
      this.#state.lookup.abort();
    }
  }

  /** A call that was sent is no longer at the worker, for whatever reason. */
  landed(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#whenQuiet?.();
  }

  /** The worker took the call: the instance is where it was thought to be. */
  settled(): void {
    this.#movesInARow = 0;
  }

  /** For good: this client closed it, or the router said so. */
  end(error: HoldfastError): void {
    if (this.#state.phase === 'moving') this.#state.lookup.abort();
    else this.#unbind();
    this.#state = { phase: 'gone', error };
    this.#failWaiting([...this.#waiting], error);
  }

  #wait(call: RemoteCall): void {
    if (this.#waiting.size >= maxWaitingCalls) return call.fail(tooManyWaiting(call.what, maxWaitingCalls));
    this.#waiting.add(call);
  }

  #bind(): void {
    const session = this.host.session(this.#placement.address);
    const bound = { session, slot: session.bind(this.#placement) };
    if (this.#placement.pin !== null) this.#placement = { ...this.#placement, pin: null };
    this.#hold(bound);
  }

  #hold(bound: BoundSlot): void {
    forgotten.register(this, bound, this);
    this.#state = { phase: 'bound', ...bound };
  }

  #unbind(): void {
    if (this.#state.phase !== 'bound') return;
    forgotten.unregister(this);
    this.#state.session.unbind(this.#state.slot);
  }

  #send(call: RemoteCall, session: WorkerSession, slot: number): void {
    const remainingMs = call.remainingMs();
    if (remainingMs === null) return call.fail(deadlineExceeded(call.what, 'not-run'));
    this.#inFlight += 1;
    session.send(call, slot, remainingMs);
  }

  /** Begins to look for the new place; does nothing while that goes on. */
  #move(isThere = false): void {
    if (this.#state.phase !== 'bound') return;
    forgotten.unregister(this);
    const { session, slot } = this.#state;
    const lookup = new AbortController();
    this.#state = { phase: 'moving', lookup };
    // Never rejects: what it fails with goes to the calls that wait.
    const failedEpoch = isThere ? 0 : this.#placement.epoch;
    void this.#findPlace(failedEpoch, lookup.signal).then(() => session.unbind(slot));
  }

  async #findPlace(failedEpoch: number, signal: AbortSignal): Promise<void> {
    const asked = [...this.#waiting];
    try {
      const found = await this.#lookUp(failedEpoch, signal);
      await this.#quiet(signal);
      if (signal.aborted) return this.#afterAbort();
      this.#placement = found;
      this.#state = { phase: 'placed' };
      this.#sendWaiting();
    } catch (e) {
      if (signal.aborted) return this.#afterAbort();
      this.#notFound(asked, asHoldfastError(e));
    }
  }

  /** Waits a little where the answer is the place that just failed. */
  async #lookUp(failedEpoch: number, signal: AbortSignal): Promise<Placement> {
    this.#movesInARow += 1;
    if (this.#movesInARow > 2) {
      const backoffMs = Math.min(longestBackoffMs, 5 * 2 ** this.#movesInARow) * (0.5 + this.host.random.next() / 2);
      await this.host.clock.sleep(backoffMs, signal);
    }
    return this.host.resolve(this.#placement, { failedEpoch, remainingMs: this.#longestRemainingMs(), signal });
  }

  /** Until no call is at the old place (I2). */
  #quiet(signal: AbortSignal): Promise<void> {
    if (this.#inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#whenQuiet = null;
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#whenQuiet = done;
      signal.addEventListener('abort', done);
    });
  }

  /** Nobody waited any more; somebody may wait again by now. */
  #afterAbort(): void {
    if (this.#state.phase !== 'moving') return;
    this.#state = { phase: 'placed' };
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    const calls = this.#takeWaiting();
    const now = this.host.clock.monotonic();
    for (const call of calls) {
      // Sending can find the link lost at once; the rest then waits, in order, for the next place.
      if (call.isTiredOfMoving(now)) call.fail(neverSettled(call.what));
      else if (this.#state.phase === 'moving') this.#waiting.add(call);
      else this.#sendAgain(call);
    }
  }

  #sendAgain(call: RemoteCall): void {
    if (this.#state.phase === 'placed') this.#bind();
    if (this.#state.phase === 'bound' && this.#state.session.isOpen) {
      return this.#send(call, this.#state.session, this.#state.slot);
    }
    this.takeBack(call);
  }

  /** Those that came later may have more time than the question had: it is asked again for them. */
  #notFound(asked: readonly RemoteCall[], error: HoldfastError): void {
    const isFinal = error.code === 'InstanceGone' || error.code === 'InstanceLost';
    if (isFinal) {
      this.#state = { phase: 'gone', error };
      return this.#failWaiting([...this.#waiting], error);
    }
    this.#state = { phase: 'placed' };
    this.#failWaiting(
      asked.filter((call) => this.#waiting.has(call)),
      error,
    );
    this.#sendWaiting();
  }

  #failWaiting(calls: readonly RemoteCall[], error: HoldfastError): void {
    for (const call of calls) {
      this.#waiting.delete(call);
      call.fail(error);
    }
  }

  #takeWaiting(): RemoteCall[] {
    const calls = [...this.#waiting].sort((a, b) => a.order - b.order);
    this.#waiting.clear();
    return calls;
  }

  /** 0: a call without a deadline waits. */
  #longestRemainingMs(): number {
    let longest = 1;
    for (const call of this.#waiting) {
      const remainingMs = call.remainingMs() ?? 1;
      if (remainingMs === 0) return 0;
      longest = Math.max(longest, remainingMs);
    }
    return longest;
  }
}

function asHoldfastError(e: unknown): HoldfastError {
  if (isHoldfastError(e)) return e;
  return new HoldfastError('Internal', `the instance could not be looked up: ${String(e)}`, { cause: e });
}
