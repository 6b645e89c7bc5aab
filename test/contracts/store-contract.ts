import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type InstanceKey, instanceKey } from '../../src/common/ids.js';
import type { Pin, PinChange } from '../../src/common/pin.js';
import type { Store } from '../../src/common/ports/store.js';
import { alarmTests } from './store/alarms.js';
import { appTests, keyTests } from './store/apps-and-keys.js';
import { callTests } from './store/calls.js';
import { holdTests } from './store/holds.js';
import { leaseTests } from './store/leases.js';
import { listTests } from './store/lists.js';
import { liveTests } from './store/live.js';
import { identity } from './store/pin-changes.js';
import { pinTests } from './store/pins.js';
import { secretTests } from './store/secrets.js';
import { stateTests } from './store/state.js';
import { volumeTests } from './store/volumes.js';

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  /** The same data through a connection of its own. */
  connect(): Promise<Store>;
  /** Makes a change as if the store's clock were an hour ahead, for this change only. */
  changeAhead(key: InstanceKey, change: PinChange): Promise<Pin>;
}

/** What every store must do; each suite runs against one store, whose data its tests share. */
export function describeStore(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let made: StoreUnderTest;
    const context = (): StoreUnderTest => made;
    beforeAll(async () => {
      made = await make();
    });
    afterAll(() => made?.[Symbol.asyncDispose]());

    describe('pins', () => pinTests(context));
    describe('lists of pins', () => listTests(context));
    describe('leases', () => leaseTests(context));
    describe('durable state', () => stateTests(context));
    describe('alarms', () => alarmTests(context));
    describe('spawned calls', () => callTests(context));
    describe('apps', () => appTests(context));
    describe('keys and tokens', () => keyTests(context));
    describe('secrets', () => secretTests(context));
    describe('volumes', () => volumeTests(context));
    describe('holds and sweeps', () => holdTests(context));
    describe('network file systems', () => liveTests(context));
    describe('the store', () => storeTests(context));
  });
}

function storeTests(context: () => StoreUnderTest): void {
  test('it answers a ping until it is closed, and then refuses at once', async () => {
    const store = await context().connect();
    await store.ping();
    await store.close();
    await store.close();
    await expect(store.ping()).rejects.toMatchObject({ code: 'Unavailable', outcome: 'not-run', retryable: false });
    await expect(store.pins.get(instanceKey(identity()))).rejects.toMatchObject({ code: 'Unavailable' });
  });
}
