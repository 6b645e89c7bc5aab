import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import {
  isAtWorker,
  type Pin,
  type PinChange,
  type PinChangeResult,
  type PinFields,
  type PinState,
  pinChange,
} from '../../common/pin.js';
import type { Store } from '../../common/ports/store.js';

const firstRetryMs = 50;
const longestRetryMs = 1_000;

/**
 * Changes the pins of a worker's own instances. A change that timed out may have happened: it is asked for again with the
 * same opId until the store answers (S4) or the worker is over.
 */
export class PinKeeper {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #over: AbortSignal;
  readonly #changed: (key: InstanceKey, pin: Pin) => void;

  /** @param over aborted when this boot is fenced or stopped; `changed` hears of every change that was made but those to `active` */
  constructor(deps: {
    readonly store: Store;
    readonly clock: Clock;
    readonly random: Random;
    readonly over: AbortSignal;
    readonly changed: (key: InstanceKey, pin: Pin) => void;
  }) {
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#over = deps.over;
    this.#changed = deps.changed;
  }

  /**
   * Who holds the pin after the change. An instance that is here must get rid of its pin, so whatever the store says it is
   * asked again; only an activation that certainly did not happen can be given up.
   * @throws Unavailable when the worker is over; for `active` what the store refused it for
   */
  async change(
    key: InstanceKey,
    pin: Pin,
    to: { readonly state: PinState; readonly why: string; readonly set?: Partial<PinFields> },
  ): Promise<PinChangeResult> {
    const change = pinChange(pin, to.state, {
      opId: this.#newOpId(),
      why: to.why,
      atMs: this.#clock.now(),
      byOwner: to.state !== 'active',
      ...(to.set === undefined ? {} : { set: to.set }),
    });
    return await this.#untilKnown(key, change, pin);
  }

  /** A pin where there is none, active here. @throws Unavailable when the worker is over; what the store refused it for */
  make(key: InstanceKey, what: Pick<PinChange, 'fields' | 'transitions'>): Promise<PinChangeResult> {
    const { fields, transitions } = what;
    const opId = this.#newOpId();
    const change = {
      expect: 'none',
      opId,
      epoch: 'next',
      generation: 'epoch',
      fields,
      transitions,
      ttlMs: null,
    } as const;
    return this.#untilKnown(key, change, null);
  }

  #newOpId(): string {
    return Buffer.from(this.#random.bytes(9)).toString('base64url');
  }

  /** @param pin as it is here; null: it is not yet, and may be made elsewhere */
  async #untilKnown(key: InstanceKey, change: PinChange, pin: Pin | null): Promise<PinChangeResult> {
    const { state } = change.fields;
    let mayHaveHappened = false;
    let isAttested = false;
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(longestRetryMs, delayMs * 2)) {
      this.#checkNotOver();
      const result = await this.#attempt(key, change);
      if (pin !== null && !(result instanceof Error) && !isAttested && mayBeForgotten(pin, result)) {
        isAttested = await this.#attest(key, pin);
        if (isAttested) continue;
      }
      if (!(result instanceof Error)) {
        // Who waits for it to become active has asked this worker, and is answered.
        if (result.applied && state !== 'active') this.#changed(key, result.pin);
        // The answer came too late: nobody must act on it any more (S7).
        this.#checkNotOver();
        return result;
      }
      mayHaveHappened ||= result.outcome !== 'not-run';
      if (state === 'active' && canGiveUp(result, { mayHaveHappened, isNew: pin === null })) throw result;
      await this.#clock.sleep(delayMs, this.#over).catch(() => undefined); // over: the next turn sees it
    }
  }

  async #attempt(key: InstanceKey, change: PinChange): Promise<PinChangeResult | HoldfastError> {
    try {
      return await this.#store.pins.change(key, change);
    } catch (e) {
      if (isHoldfastError(e)) return e;
      return new HoldfastError('Internal', `changing pin ${key}: ${String(e)}`, { outcome: 'unknown', cause: e });
    }
  }

  /** Whether its pin stands as it is here (S10). */
  async #attest(key: InstanceKey, pin: Pin): Promise<boolean> {
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(longestRetryMs, delayMs * 2)) {
      this.#checkNotOver();
      const answer = await this.#store.pins.attest(key, pin).catch(() => null); // away: asked again, as above
      if (answer !== null) return answer === 'stands';
      await this.#clock.sleep(delayMs, this.#over).catch(() => undefined); // over: the next turn sees it
    }
  }

  #checkNotOver(): void {
    if (!this.#over.aborted) return;
    throw new HoldfastError('Unavailable', `this boot of the worker is over (${String(this.#over.reason)})`);
  }
}

/**
 * An activation that certainly did not happen, and would not on the next try. Of a name that is new a router takes care, whatever became of
 * it: only what may be known in a moment is asked for again.
 */
function canGiveUp(
  error: HoldfastError,
  { mayHaveHappened, isNew }: { readonly mayHaveHappened: boolean; readonly isNew: boolean },
): boolean {
  return isNew ? !mayHaveHappened || !error.retryable : !mayHaveHappened && !error.retryable;
}

/** A server that took over may know less of a pin that is here (S10). */
function mayBeForgotten(pin: Pin, { applied, pin: stands }: PinChangeResult): boolean {
  if (applied || !isAtWorker(pin.state)) return false;
  return stands === null || stands.epoch < pin.epoch || (stands.epoch === pin.epoch && stands.state !== pin.state);
}
