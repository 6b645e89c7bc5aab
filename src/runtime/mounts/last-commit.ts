import type { Clock } from '../../common/clock.js';
import { isHoldfastError } from '../../common/errors.js';
import type { CommitAsk, VolumeMount } from './volume-mount.js';

/** That nobody has asked for. */
export const byItself: CommitAsk = { message: '', onConflict: 'last-writer-wins', isByItself: true };
/** What the last commit does not bring away within this time is lost. Less than a worker's end waits. */
const withinMs = 45_000;
const [firstPauseMs, longestPauseMs] = [250, 4_000];

/** Before a mount ends: tried for a while where the store is away. @throws what it fails with for good */
export async function commitLast(mount: VolumeMount, clock: Clock): Promise<void> {
  const until = clock.monotonic() + withinMs;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    try {
      await mount.commit(byItself);
      break;
    } catch (error) {
      if (!isHoldfastError(error) || !error.retryable || clock.monotonic() + pauseMs > until) throw error;
      await clock.sleep(pauseMs);
    }
  }
  mount.checkWritten();
}
