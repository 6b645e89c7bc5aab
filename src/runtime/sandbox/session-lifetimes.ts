import type { Clock } from '../../common/clock.js';
import type { Generation, InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { PinStore } from '../../common/ports/store.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import type { Instance } from '../instances/instance.js';
import type { Leaving } from '../instances/leaving.js';
import type { PinKeeper } from '../instances/pin-keeper.js';
import type { Sandboxes } from './sandboxes.js';

export interface LifetimeDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly instances: ReadonlyMap<InstanceKey, Instance>;
  readonly leaving: Leaving;
  readonly pins: PinKeeper;
  readonly store: PinStore;
  readonly sandboxes: Sandboxes;
}

interface Limit {
  readonly generation: Generation;
  entry: WheelEntry;
}

/** While a session is on its way to another state, or the store is away. */
const lookAgainMs = 1_000;

/** Ends sessions at their `lifetimeMs`, those that sleep too: their files are here, so their end is. */
export class SessionLifetimes {
  readonly #deps: LifetimeDeps;
  readonly #limits = new Map<InstanceKey, Limit>();

  constructor(deps: LifetimeDeps) {
    this.#deps = deps;
  }

  /** Does nothing for one that is watched already. */
  watch(pin: Pin, key: InstanceKey, lifetimeMs: number): void {
    const { clock } = this.#deps;
    if (this.#limits.get(key)?.generation === pin.generation) return;
    this.#forget(key);
    this.#arm(key, pin.generation, pin.createdAtMs + lifetimeMs - clock.now());
  }

  #arm(key: InstanceKey, generation: Generation, afterMs: number): void {
    const entry = this.#deps.wheel.add(afterMs, () => void this.#end(key, generation));
    this.#limits.set(key, { generation, entry });
  }

  #forget(key: InstanceKey): void {
    const limit = this.#limits.get(key);
    if (limit !== undefined) this.#deps.wheel.remove(limit.entry);
    this.#limits.delete(key);
  }

  async #end(key: InstanceKey, generation: Generation): Promise<void> {
    const isOver = await this.#close(key, generation).catch(() => false); // the store is away: later
    this.#forget(key);
    if (!isOver) this.#arm(key, generation, lookAgainMs);
  }

  /** False: try again. */
  async #close(key: InstanceKey, generation: Generation): Promise<boolean> {
    const { instances, leaving, pins, store, sandboxes } = this.#deps;
    const instance = instances.get(key);
    if (instance !== undefined) {
      if (instance.pin.generation !== generation) return true;
      await leaving.close(instance, { force: true, timeoutMs: 0 });
      return !instances.has(key);
    }
    const pin = await store.get(key);
    if (pin === null || pin.generation !== generation || pin.state === 'closed' || pin.state === 'lost') return true;
    if (pin.state !== 'idle') return false;
    const { applied } = await pins.change(key, pin, { state: 'closed', why: 'lifetime' });
    if (applied) sandboxes.forget(key, generation);
    return applied;
  }
}
