import type { Clock } from '../../common/clock.js';
import { isHoldfastError } from '../../common/errors.js';
import type { CommitParts } from '../../common/volumes/commit.js';

/** A store that changes its master is away for less. */
const withinMs = 10_000;
const [firstPauseMs, longestPauseMs] = [50, 1_000];

/**
 * What commits and reloads ask of the store, asked again while it is away for a moment: programs inside would meet that as an
 * error of their commit. All of it may be done twice; a commit is published again by `commitVolume` itself.
 */
export function patientStore({ volumes, holds, ...rest }: CommitParts): CommitParts {
  const patient =
    <Args extends unknown[], T>(ask: (...args: Args) => Promise<T>) =>
    (...args: Args): Promise<T> =>
      patiently(rest.clock, () => ask(...args));
  return {
    ...rest,
    volumes: { find: patient(volumes.find), publish: volumes.publish },
    holds: {
      ...{ hold: patient(holds.hold), holdAlso: patient(holds.holdAlso), reserve: patient(holds.reserve) },
      ...{ renew: holds.renew, release: holds.release },
    },
  };
}

async function patiently<T>(clock: Clock, ask: () => Promise<T>): Promise<T> {
  const until = clock.monotonic() + withinMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      return await ask();
    } catch (error) {
      const isAway = isHoldfastError(error, 'Unavailable') && error.retryable;
      if (!isAway || clock.monotonic() + pauseMs > until) throw error;
      await clock.sleep(pauseMs);
    }
  }
}
