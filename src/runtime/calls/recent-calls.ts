import type { Clock } from '../../common/clock.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import type { Instance } from '../instances/instance.js';

const lookEveryMs = 1_000;

/**
 * Instances that had calls lately. What those needed is given back once they have been quiet for a while: of very many
 * instances few are busy. A look costs what the busy ones are; while there are none nobody looks.
 */
export class RecentCalls {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #instances = new Set<Instance>();

  constructor({ clock, wheel }: { readonly clock: Clock; readonly wheel: TimerWheel }) {
    this.#clock = clock;
    this.#wheel = wheel;
  }

  /** It has calls from now on. */
  add(instance: Instance): void {
    if (this.#instances.size === 0) this.#lookLater();
    this.#instances.add(instance);
  }

  #lookLater(): void {
    this.#wheel.add(lookEveryMs, () => this.#look());
  }

  #look(): void {
    const quietSince = this.#clock.monotonic() - lookEveryMs;
    for (const instance of this.#instances) {
      if (instance.rest(quietSince)) this.#instances.delete(instance);
    }
    if (this.#instances.size > 0) this.#lookLater();
  }
}
