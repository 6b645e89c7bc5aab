import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { LeaseRecord, LeaseState } from '../../../src/common/lease.js';
import type { StoreUnderTest } from '../store-contract.js';
import { until } from './pin-changes.js';

export function leaseTests(context: () => StoreUnderTest): void {
  test('a lease is held while it is renewed, and every connection sees it', async () => {
    const { store, connect } = context();
    const other = await connect();
    const lease = leaseOf(boot());
    await store.leases.create(lease, 30_000);
    const state = await other.leases.read(lease.bootId);
    expect(state).toMatchObject({ phase: 'held', lease });
    expect(remaining(state)).toBeLessThanOrEqual(30_000);
    expect(await other.leases.renew(lease.bootId, 60_000)).toBe('renewed');
    expect(remaining(await store.leases.read(lease.bootId))).toBeGreaterThan(30_000);
    await other.close();
  });

  test('a lease that lapsed is absent, and its renewal is refused for ever', async () => {
    const { leases } = context().store;
    const lease = leaseOf(boot());
    await leases.create(lease, 50);
    await until(async () => (await leases.read(lease.bootId)).phase === 'absent');
    expect(await leases.renew(lease.bootId, 10_000)).toBe('refused');
    expect(await leases.read(lease.bootId)).toEqual({ phase: 'absent' });
  });

  test('a boot that never had a lease cannot renew one', async () => {
    const { leases } = context().store;
    expect(await leases.renew(boot(), 10_000)).toBe('refused');
  });

  test('a released lease says so, is never renewed and never made again', async () => {
    const { leases } = context().store;
    const lease = leaseOf(boot());
    await leases.create(lease, 30_000);
    await leases.release(lease.bootId);
    expect(await leases.read(lease.bootId)).toEqual({ phase: 'released' });
    expect(await leases.renew(lease.bootId, 30_000)).toBe('refused');
    await expect(leases.create(lease, 30_000)).rejects.toMatchObject({ code: 'InvalidArgument' });
    expect(await leases.read(lease.bootId)).toEqual({ phase: 'released' });
    await leases.release(lease.bootId);
  });

  test('the release of a lease that lapsed before is known as well', async () => {
    const { leases } = context().store;
    const bootId = boot();
    await leases.release(bootId);
    expect(await leases.read(bootId)).toEqual({ phase: 'released' });
  });
}

function boot(): BootId {
  return randomUUID() as string as BootId;
}

function leaseOf(bootId: BootId): LeaseRecord {
  return { bootId, workerId: 'worker-1' as WorkerId, account: 'a', address: '10.0.0.1:7000' };
}

function remaining(state: LeaseState): number {
  return state.phase === 'held' ? state.remainingMs : 0;
}
