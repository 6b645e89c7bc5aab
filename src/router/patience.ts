import type { Clock } from '../common/clock.js';
import { HoldfastError, isHoldfastError } from '../common/errors.js';
import type { Abortable } from './abort.js';
import type { Waiting } from './service/request.js';

const firstRetryMs = 20;
const slowestRetryMs = 1_000;

/** Who waits for an answer of the store, and for how long. */
export interface Patience extends Abortable {
  readonly waiting: Waiting;
}

/**
 * Tries until the store answers or nobody waits any more. Only for what may be done twice: reads, and changes that carry
 * their opId. @throws what is not retryable, the signal's reason
 */
export async function patiently<T>(clock: Clock, patience: Patience, attempt: () => Promise<T>): Promise<T> {
  const { waiting } = patience;
  const before = { ...waiting };
  for (let delayMs = firstRetryMs; ; delayMs = Math.min(delayMs * 2, slowestRetryMs)) {
    patience.throwIfAborted();
    try {
      const result = await attempt();
      Object.assign(waiting, before);
      return result;
    } catch (error) {
      if (!isHoldfastError(error) || !error.retryable) throw error;
      waiting.what = 'the store';
      waiting.instead = storeAway(error);
      await clock.sleep(delayMs, patience.signal);
    }
  }
}

/** What the caller learns at its deadline. Nothing ran yet for it, whatever became of the store's operation. */
function storeAway(error: HoldfastError): HoldfastError {
  return new HoldfastError(error.code, `the router could not use its store until the deadline: ${error.message}`, {
    outcome: 'not-run',
    retryable: true,
    cause: error,
  });
}
