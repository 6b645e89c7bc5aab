import type { Clock, Random } from '../../common/clock.js';
import type { Logger } from '../../common/context.js';
import { isHoldfastError } from '../../common/errors.js';
import { LiveNames } from '../../common/live/live-names.js';
import { sweepLive } from '../../common/live/live-sweep.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Store } from '../../common/ports/store.js';
import { defaultRetention, sweepAccount } from './sweep.js';

/** Volumes whose client was killed are gone that long after their lease at the latest, while a router runs. */
const expireEveryMs = 10_000;
const sweepEveryMs = 3_600_000;

interface Parts {
  readonly store: Store;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly accounts: readonly string[];
}

/** What volumes need from time to time, done by every router that has the time; ends with the signal. */
export async function keepVolumes(parts: Parts, closed: AbortSignal): Promise<void> {
  const { clock, random, accounts } = parts;
  // Routers that were started together need not sweep together.
  let sweepAt = clock.monotonic() + sweepEveryMs * (0.5 + random.next());
  while (!closed.aborted) {
    await clock.sleep(expireEveryMs, closed).catch(() => undefined); // closed: the condition sees it
    if (closed.aborted) return;
    const isSweepDue = clock.monotonic() >= sweepAt;
    if (isSweepDue) sweepAt = clock.monotonic() + sweepEveryMs;
    for (const account of accounts) {
      await expire(parts, account);
      if (isSweepDue && !closed.aborted) await sweep(parts, account);
    }
  }
}

async function expire(stores: Parts, account: string): Promise<void> {
  const { store, log } = stores;
  try {
    for (const volume of await store.volumes.expire(account)) log.info('volume.expired', { volume });
    for (const name of await new LiveNames({ ...stores, store: store.live }, account).expire())
      log.info('networkFileSystem.expired', { name });
  } catch (error) {
    // A store that is away is asked again in the next round.
    if (!isHoldfastError(error)) log.error('volumes.notExpired', { account, error: String(error) });
  }
}

async function sweep(parts: Parts, account: string): Promise<void> {
  try {
    parts.log.info('volumes.swept', { account, ...(await sweepAccount(parts, account, defaultRetention)) });
    const live = { ...parts, store: parts.store.live };
    await sweepLive(live, account, new LiveNames(live, account));
  } catch (error) {
    // Another router is at it.
    if (isHoldfastError(error, 'AlreadyExists')) return;
    parts.log.warn('volumes.notSwept', { account, error: error instanceof Error ? error.message : String(error) });
  }
}
