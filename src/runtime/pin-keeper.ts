import type { Clock, Random } from '../common/clock.js';
import { isHoldfastError } from '../common/errors.js';
import type { InstanceKey } from '../common/ids.js';
import { type Pin, type PinChangeResult, type PinFields, type PinState, pinChange } from '../common/pin.js';
import type { Store } from '../common/ports/store.js';

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

  /** @param over aborted when this boot is fenced or stopped; `changed` hears of every change that was made */
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

  /** Who holds the pin after the change. Rejects only when the worker is over. */
  async change(
    key: InstanceKey,
    pin: Pin,
    to: { readonly state: PinState; readonly why: string; readonly set?: Partial<PinFields> },
  ): Promise<PinChangeResult> {
    const opId = Buffer.from(this.#random.bytes(9)).toString('base64url');
    const change = pinChange(pin, to.state, {
      opId,
      why: to.why,
      atMs: this.#clock.now(),
      ...(to.set === undefined ? {} : { set: to.set }),
    });
    for (let delayMs = firstRetryMs; ; delayMs = Math.min(longestRetryMs, delayMs * 2)) {
      this.#over.throwIfAborted();
      try {
        const result = await this.#store.pins.change(key, change);
        if (result.applied) this.#changed(key, result.pin);
        return result;
      } catch (e) {
        if (!isHoldfastError(e) || !e.retryable) throw e;
        await this.#clock.sleep(delayMs, this.#over);
      }
    }
  }
}
