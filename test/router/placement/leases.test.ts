import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import { defaultLeaseTimes } from '../../../src/common/lease.js';
import type { Store } from '../../../src/common/ports/store.js';
import { Leases } from '../../../src/router/placement/leases.js';
import { ManualClock } from '../../manual-clock.js';
import { account } from '../harness.js';

const bootId = 'boot' as BootId;
const { ttlMs, graceMs } = defaultLeaseTimes;
let folder: string;
let clock: ManualClock;
let store: Store;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-leases-'));
  clock = new ManualClock();
  store = createLmdbStore({ path: folder, clock });
  await store.leases.create({ bootId, workerId: 'w' as WorkerId, account, address: 'host:1' }, ttlMs);
});

afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

const leasesOf = () => new Leases({ store: store.leases, clock, times: defaultLeaseTimes });

describe('a successor may start (S8)', () => {
  it('only graceMs after the lease was first seen absent, however long it was absent before', async () => {
    const leases = leasesOf();
    clock.advance(ttlMs - 1);
    expect(await leases.look(bootId)).toEqual({ phase: 'held', remainingMs: 1 });
    clock.advance(60_000);
    expect(await leases.look(bootId)).toEqual({ phase: 'ending', graceMs });
    clock.advance(graceMs - 1);
    expect(await leases.look(bootId)).toEqual({ phase: 'ending', graceMs: 1 });
    clock.advance(1);
    expect(await leases.look(bootId)).toEqual({ phase: 'over' });
  });

  it('at once where the watchdog released the lease', async () => {
    await store.leases.release(bootId);
    expect(await leasesOf().look(bootId)).toEqual({ phase: 'over' });
  });

  it('after a grace of its own at each router, which trusts no other', async () => {
    const first = leasesOf();
    clock.advance(ttlMs + 1);
    await first.look(bootId);
    clock.advance(graceMs);
    expect(await first.look(bootId)).toEqual({ phase: 'over' });
    expect(await leasesOf().look(bootId)).toEqual({ phase: 'ending', graceMs });
  });
});
