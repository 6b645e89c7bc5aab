/**
 * A process of its own on an LMDB store: takes part in a race of changes, then makes a lease and waits to be killed.
 * Arguments: the store's path, the instance's key, how many changes to win, the boot id.
 */
import { createLmdbStore } from '../../src/adapters/embedded/lmdb-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { BootId, InstanceKey, WorkerId } from '../../src/common/ids.js';
import { raise } from './lmdb-race.js';

const [path = '', key = '', count = '', bootId = ''] = process.argv.slice(2);
const store = createLmdbStore({ path, clock: systemClock });
const won = await raise(store, key as InstanceKey, Number(count));
const lease = { bootId: bootId as BootId, workerId: 'w' as WorkerId, account: 'a', address: 'h:1' };
await store.leases.create(lease, 600_000);
process.stdout.write(`${JSON.stringify(won)}\n`);
process.stdin.resume();
