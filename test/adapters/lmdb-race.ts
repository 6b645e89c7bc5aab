import { randomUUID } from 'node:crypto';
import type { InstanceKey } from '../../src/common/ids.js';
import { pinChange } from '../../src/common/pin.js';
import type { Store } from '../../src/common/ports/store.js';

/** A change that was acknowledged. */
export interface Win {
  readonly restarts: number;
  readonly epoch: number;
}

/** Counts `restarts` of a pin up by one, `count` times, against whoever else does so. */
export async function raise(store: Store, key: InstanceKey, count: number): Promise<Win[]> {
  const won: Win[] = [];
  while (won.length < count) {
    const pin = await store.pins.get(key);
    if (!pin) throw new Error(`no pin ${key}`);
    const set = { restarts: pin.restarts + 1 };
    const change = pinChange(pin, 'placing', { opId: randomUUID(), why: 'race', atMs: 1, epoch: 'next', set });
    const result = await store.pins.change(key, change);
    if (result.applied && result.pin) won.push({ restarts: result.pin.restarts, epoch: result.pin.epoch });
  }
  return won;
}

/** Values with more than one winner: the earlier change of each was lost. */
export function wonTwice(won: readonly Win[]): Win[] {
  const first = new Map(won.toReversed().map((win) => [win.restarts, win]));
  return won.filter((win) => first.get(win.restarts) !== win);
}
