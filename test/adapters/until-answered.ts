import { systemClock } from '../../src/adapters/system/clock.js';
import { isHoldfastError } from '../../src/common/errors.js';

/** Until the client has its connection again, and the server's quarantine is over; a change with an opId may be asked for any number of times. */
export async function untilAnswered<T>(ask: () => Promise<T>, withinMs = 10_000): Promise<T> {
  const end = systemClock.monotonic() + withinMs;
  while (systemClock.monotonic() < end) {
    try {
      return await ask();
    } catch (error) {
      if (!isHoldfastError(error) || !error.retryable) throw error;
      await systemClock.sleep(10);
    }
  }
  throw new Error(`still unavailable after ${withinMs} ms`);
}
