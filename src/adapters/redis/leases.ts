import { HoldfastError } from '../../common/errors.js';
import type { LeaseRecord } from '../../common/lease.js';
import type { LeaseStore } from '../../common/ports/store.js';
import { releasedLease, releasedTtlMs } from '../released-lease.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Leases, expired by Redis itself (S6). */
export function createLeases(redis: RedisConnection): LeaseStore {
  return {
    create: async (lease, ttlMs) => {
      const created = await redis.script('leaseCreate', `creating the lease of boot ${lease.bootId}`, {
        keys: [redisKeys.lease(lease.bootId)],
        args: [JSON.stringify(lease), ttlMs],
      });
      if (created !== 1) throw releasedLease(lease.bootId);
    },
    renew: async (bootId, ttlMs) => {
      const renewed = await redis.script('leaseRenew', `renewing the lease of boot ${bootId}`, {
        keys: [redisKeys.lease(bootId)],
        args: [ttlMs],
      });
      return renewed === 1 ? 'renewed' : 'refused';
    },
    release: async (bootId) => {
      await redis.run(`releasing the lease of boot ${bootId}`, (client) =>
        client.set(redisKeys.lease(bootId), 'released', 'PX', releasedTtlMs),
      );
    },
    read: async (bootId) => {
      const reply = await redis.script('leaseRead', `reading the lease of boot ${bootId}`, {
        keys: [redisKeys.lease(bootId)],
        args: [],
      });
      if (reply === null) return { phase: 'absent' };
      const [record, remainingMs] = reply as [string, number];
      if (record === 'released') return { phase: 'released' };
      // A lease without an end would keep its instances from ever moving.
      if (remainingMs < 0)
        throw new HoldfastError('Internal', `the lease of boot ${bootId} has no expiry: delete its key`);
      return { phase: 'held', lease: JSON.parse(record) as LeaseRecord, remainingMs };
    },
  };
}
