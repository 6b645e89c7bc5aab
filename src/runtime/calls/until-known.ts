import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';

const firstRetryMs = 20;
const longestRetryMs = 1_000;

/** For how long the store is asked. */
export interface Patience {
  readonly clock: Clock;
  /** Of whom it is asked for, by now. */
  readonly isOver: () => boolean;
  /** Aborted when that comes to be. */
  readonly ended?: AbortSignal;
}

/**
 * What the store answers: it is asked again until it does, or until nobody may act on it any more.
 * @throws what was refused for good; Unavailable when it is over
 */
export async function untilKnown<T>(ask: () => Promise<T>, { clock, isOver, ended }: Patience): Promise<T> {
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(longestRetryMs, delayMs * 2)) {
    if (isOver()) throw new HoldfastError('Unavailable', 'this boot of the worker is over', { outcome: 'unknown' });
    try {
      return await ask();
    } catch (error) {
      if (!isHoldfastError(error) || !error.retryable) throw error;
    }
    await clock.sleep(delayMs, ended).catch(() => undefined); // over: the next turn sees it
  }
}
