import { setImmediate as turn } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/adapters/system/clock.js';
import { openStore } from '../../src/cli/open-store.js';
import { type Identity, instanceKey } from '../../src/common/ids.js';
import type { Pin, PinChange } from '../../src/common/pin.js';
import type { Store } from '../../src/common/ports/store.js';
import { nameOfPin } from '../load/resolves.js';

const batch = 2_000;

/**
 * Writes pins through the store's port, as if their instances had been placed where `like` is; nothing is activated.
 * @throws where `like` is not active, or a pin was there before
 */
export async function fillPins({
  redisUrl,
  like,
  count,
  signal,
}: {
  readonly redisUrl: string;
  readonly like: Identity;
  readonly count: number;
  readonly signal: AbortSignal;
}): Promise<void> {
  await stopRewriting(redisUrl);
  const store = await openStore({ kind: 'redis', url: redisUrl }, systemClock);
  try {
    const pin = await store.pins.get(instanceKey(like));
    if (pin?.state !== 'active') throw new Error(`the instance to copy is ${pin?.state ?? 'nowhere'}, not active`);
    for (let from = 0; from < count; from += batch) {
      signal.throwIfAborted();
      const ids = Array.from({ length: Math.min(batch, count - from) }, (_, index) => nameOfPin(from + index));
      await Promise.all(ids.map((id) => writePin(store, pin, { ...like, id })));
      // Signals are heard between batches.
      await turn();
    }
  } finally {
    await store.close();
  }
}

async function writePin(store: Store, like: Pin, identity: Identity): Promise<void> {
  const { generation: _generation, epoch: _epoch, opId: _opId, transitions, ...fields } = like;
  const change: PinChange = {
    expect: 'none',
    opId: `fill-${identity.id}`,
    epoch: 'next',
    generation: 'epoch',
    fields: { ...fields, identity },
    transitions,
    ttlMs: null,
  };
  const { applied } = await store.pins.change(instanceKey(identity), change);
  if (!applied) throw new Error(`there was a pin of ${identity.id} before`);
}

/** Redis would write its log anew, beside what is measured, whenever it has doubled. */
async function stopRewriting(url: string): Promise<void> {
  const redis = new Redis(url);
  try {
    await redis.config('SET', 'auto-aof-rewrite-percentage', '0');
  } finally {
    redis.disconnect();
  }
}
