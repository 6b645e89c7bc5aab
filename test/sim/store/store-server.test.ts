import '../engine/globals.js';
import { expect, test } from 'vitest';
import { storeIn } from '../../../src/adapters/embedded/lmdb-records.js';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Store } from '../../../src/common/ports/store.js';
import { creation, identity, next } from '../../contracts/store/pin-changes.js';
import { describeStore } from '../../contracts/store-contract.js';
import { MemoryTable } from './memory-table.js';

/** The records of the simulation, without its network. */
function open(table: MemoryTable, clock = systemClock): Store {
  let isClosed = false;
  const run = async <T>(what: string, action: (db: MemoryTable['table']) => T): Promise<T> => {
    if (isClosed) throw new HoldfastError('Unavailable', `${what}: the store is closed`, { retryable: false });
    return action(table.table);
  };
  const close = async (): Promise<void> => {
    isClosed = true;
  };
  return { ...storeIn({ clock, server: null, read: run, write: run }), close };
}

describeStore('the records of the simulation', async () => {
  const table = new MemoryTable(() => systemClock.monotonic());
  return {
    store: open(table),
    connect: async () => open(table),
    changeAhead: async (key, change) => {
      const ahead = open(table, { ...systemClock, now: () => systemClock.now() + 3_600_000 });
      const { pin } = await ahead.pins.change(key, change);
      if (pin === null) throw new Error('the change was refused');
      return pin;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
});

test('what was written after a moment can be forgotten, and nothing else is', async () => {
  let now = 0;
  const table = new MemoryTable(() => now);
  const store = open(table);
  const who = identity();
  const key = instanceKey(who);
  const { pin: made } = await store.pins.change(key, creation(who));
  if (made === null) throw new Error('no pin');
  now = 10;
  await store.pins.change(key, next(made, 'active'));
  const other = identity();
  await store.pins.change(instanceKey(other), creation(other));
  table.forgetSince(5);
  expect((await store.pins.get(key))?.state).toBe('placing');
  expect(await store.pins.get(instanceKey(other))).toBeNull();
  expect(
    (await store.pins.list({ account: 'a', app: 'app', className: 'Counter' }, { limit: 9, after: null })).pins,
  ).toHaveLength(1);
});
