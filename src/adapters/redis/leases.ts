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
      const asked = owners.ask(redisKeys.lease(lease.bootId));
      const answer = (await redis.script('leaseCreate', `creating the lease of boot ${lease.bootId}`, {
        keys: [redisKeys.lease(lease.bootId), asked.key],
        args: [JSON.stringify(lease), ttlMs, asked.met, owners.quarantineMs],
      })) as [run: string, quarantineLeft: number] | null;
      if (answer === null) throw releasedLease(lease.bootId);
      const [run, left] = answer;
      asked.answered(run, left > 0);
      runs.set(lease.bootId, run);
    },
    renew: async (bootId, ttlMs) => {
      const asked = owners.ask(redisKeys.lease(bootId));
      const [answer, run, left] = (await redis.script('leaseRenew', `renewing the lease of boot ${bootId}`, {
        keys: [redisKeys.lease(bootId), asked.key],
        args: [ttlMs, runs.get(bootId) ?? '', asked.met, owners.quarantineMs],
      })) as ['renewed' | 'refused' | 'forgotten', string, number];
      asked.answered(run, left > 0);
      if (answer === 'renewed') runs.set(bootId, run);
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
