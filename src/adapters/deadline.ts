import type { Clock } from '../common/clock.js';

/** How long an operation of a store may take when nothing else was said. */
export const defaultOpTimeoutMs = 3_000;

/** The outcome of `attempt`, or `onTimeout()` as the error when there is none after `timeoutMs`; a later one is discarded. */
export function withDeadline<T>(
  attempt: Promise<T>,
  limit: { readonly clock: Clock; readonly timeoutMs: number; readonly onTimeout: () => Error },
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = limit.clock.after(limit.timeoutMs, () => reject(limit.onTimeout()));
    attempt.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
