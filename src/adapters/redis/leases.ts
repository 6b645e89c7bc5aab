import { LRUCache } from 'lru-cache';
import { HoldfastError } from '../../common/errors.js';
import type { BootId } from '../../common/ids.js';
import type { LeaseRecord } from '../../common/lease.js';
import type { LeaseStore } from '../../common/ports/store.js';
import { storeQuarantined } from '../records/quarantine.js';
import { releasedLease, releasedTtlMs } from '../records/released-lease.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';
import type { Owners } from './owners.js';

/** A process has one boot at a time; one that falls out ends where its lease is forgotten. */
const maxRuns = 1_000;

/** Leases, expired by Redis itself (S6). */
export function createLeases(redis: RedisConnection, owners: Owners): LeaseStore {
  /** The run of the server that has a lease of this process. */
  const runs = new LRUCache<BootId, string>({ max: maxRuns });
  return {
    create: async (lease, ttlMs) => {
      const run = await redis.script('leaseCreate', `creating the lease of boot ${lease.bootId}`, {
        keys: [redisKeys.lease(lease.bootId)],
        args: [JSON.stringify(lease), ttlMs],
      });
      if (typeof run !== 'string') throw releasedLease(lease.bootId);
      runs.set(lease.bootId, run);
    },
    renew: async (bootId, ttlMs) => {
      const [answer, run] = (await redis.script('leaseRenew', `renewing the lease of boot ${bootId}`, {
        keys: [redisKeys.lease(bootId)],
        args: [ttlMs, runs.get(bootId) ?? ''],
      })) as ['renewed', string] | ['refused' | 'forgotten'];
      if (run !== undefined) runs.set(bootId, run);
      return answer;
    },
    release: async (bootId) => {
      await redis.run(`releasing the lease of boot ${bootId}`, (client) =>
        client.set(redisKeys.lease(bootId), 'released', 'PX', releasedTtlMs),
      );
    },
    read: async (bootId) => {
      const what = `reading the lease of boot ${bootId}`;
      const asked = owners.ask(redisKeys.lease(bootId));
      const [record, remainingMs, run] = (await redis.script('leaseRead', what, {
        keys: [redisKeys.lease(bootId), asked.key],
        args: [asked.met, owners.quarantineMs],
      })) as [string, number] | [null, number, string];
      if (record === null) {
        asked.answered(run ?? '', remainingMs > 0);
        if (remainingMs > 0) throw storeQuarantined(what, remainingMs);
        return { phase: 'absent' };
      }
      if (record === 'released') return { phase: 'released' };
      // A lease without an end would keep its instances from ever moving.
      if (remainingMs < 0)
        throw new HoldfastError('Internal', `the lease of boot ${bootId} has no expiry: delete its key`);
      return { phase: 'held', lease: JSON.parse(record) as LeaseRecord, remainingMs };
    },
  };
}
