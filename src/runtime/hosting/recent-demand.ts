import type { Clock, Monotonic } from '../../common/clock.js';

const windowMs = 5_000;

/** How often something was asked for of late: the larger of the window that runs and the one before. */
export class RecentDemand {
  readonly #clock: Clock;
  #windowStart: Monotonic;
  #now = 0;
  #before = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#windowStart = clock.monotonic();
  }

  get count(): number {
    this.#turn();
    return Math.max(this.#now, this.#before);
  }

  add(): void {
    this.#turn();
    this.#now += 1;
  }

  /** No timer: whoever looks finds out that time has passed. */
  #turn(): void {
    const passedMs = this.#clock.monotonic() - this.#windowStart;
    if (passedMs < windowMs) return;
    this.#before = passedMs < 2 * windowMs ? this.#now : 0;
    this.#now = 0;
    this.#windowStart += Math.floor(passedMs / windowMs) * windowMs;
  }
}
