import { randomUUID } from 'node:crypto';
import type { InstanceKey } from '../../src/common/ids.js';
import { pinChange } from '../../src/common/pin.js';
import type { Store } from '../../src/common/ports/store.js';

/** Counts `restarts` of a pin up by one, `count` times, against whoever else does so. */
export async function raise(store: Store, key: InstanceKey, count: number): Promise<void> {
  for (let won = 0; won < count; ) {
    const pin = await store.pins.get(key);
    if (!pin) throw new Error(`no pin ${key}`);
    const set = { restarts: pin.restarts + 1 };
    const change = pinChange(pin, 'placing', { opId: randomUUID(), why: 'race', atMs: 1, epoch: 'next', set });
    const result = await store.pins.change(key, change);
    if (result.applied) won += 1;
  }
}
