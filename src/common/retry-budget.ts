import type { Monotonic } from './clock.js';

/** Retries that may come at once, and those that each second and each call that succeeds add. */
const burst = 50;
const perSecond = 10;
const perSuccess = 0.2;

/**
 * How often the calls of one class may be retried, together: where all of them fail, retries come at a steady pace that has nothing to
 * do with how many calls there are, so that an outage does not multiply its load.
 */
export class RetryBudget {
  #tokens = burst;
  #filledAt: Monotonic | null = null;

  /** A call has ended well. */
  succeeded(): void {
    this.#tokens = Math.min(burst, this.#tokens + perSuccess);
  }

  /** After how many ms it is the turn of one more; null: not within `mostMs`, and then it has none. */
  take(now: Monotonic, mostMs: number): number | null {
    const seconds = (now - (this.#filledAt ?? now)) / 1_000;
    this.#tokens = Math.min(burst, this.#tokens + seconds * perSecond);
    this.#filledAt = now;
    const waitMs = Math.max(0, ((1 - this.#tokens) / perSecond) * 1_000);
    if (waitMs > mostMs) return null;
    this.#tokens -= 1;
    return waitMs;
  }
}
