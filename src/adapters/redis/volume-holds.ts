import type { VolumeHolds } from '../../common/ports/volume-store.js';
import type { Hash } from '../../common/volumes/entry.js';
import { shortened } from '../records/volume-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

const condemnTries = 20;

/** Holds on volumes, and sweeps that respect them. */
export function createVolumeHolds(redis: RedisConnection): VolumeHolds {
  return { ...holdsOf(redis), ...sweepsOf(redis) };
}

function holdsOf(
  redis: RedisConnection,
): Pick<VolumeHolds, 'hold' | 'holdAlso' | 'renew' | 'reserve' | 'release' | 'heldRoots'> {
  const holds = (account: string): [string, string] => [redisKeys.holds(account), redisKeys.heldRoots(account)];
  return {
    hold: async (account, { id, ttlMs, commit }) => {
      const keys = [...holds(account), redisKeys.commits(account, commit?.volumeId ?? '')];
      const args = [id, ttlMs, commit?.commitId ?? ''];
      return (await redis.script('holdTake', `taking hold ${id}`, { keys, args })) === 1;
    },
    holdAlso: async (account, id, { volumeId, commitId }) => {
      const keys = [...holds(account), redisKeys.commits(account, volumeId)];
      return (await redis.script('holdAlso', `holding commit ${commitId}`, { keys, args: [id, commitId] })) === 1;
    },
    renew: async (account, id, ttlMs) => {
      const keys = [redisKeys.holds(account), redisKeys.reserved(account, id)];
      return (await redis.script('holdRenew', `renewing hold ${id}`, { keys, args: [id, ttlMs] })) === 1;
    },
    reserve: async (account, id, hashes) => {
      const keys = [redisKeys.holds(account), redisKeys.condemned(account), redisKeys.reserved(account, id)];
      const what = `reserving ${hashes.length} objects`;
      const reply = await redis.script('holdReserve', what, { keys, args: [id, ...hashes.map(shortened)] });
      return reply === null ? null : inFull(hashes, reply as string[]);
    },
    release: async (account, id) => {
      const keys = [...holds(account), redisKeys.reserved(account, id)];
      await redis.script('holdRelease', `releasing hold ${id}`, { keys, args: [id] });
    },
    heldRoots: async (account) => {
      const roots = await redis.run('reading what is held', (client) => client.hvals(redisKeys.heldRoots(account)));
      return roots.flatMap((text) => text.split(' ')).filter((root) => root !== '');
    },
  };
}

function sweepsOf(
  redis: RedisConnection,
): Pick<VolumeHolds, 'beginSweep' | 'renewSweep' | 'condemn' | 'absolve' | 'endSweep'> {
  const sweep = (account: string): [string, string, string, string] => [
    redisKeys.sweep(account),
    redisKeys.condemned(account),
    redisKeys.sinceSweep(account),
    redisKeys.heldRoots(account),
  ];
  return {
    beginSweep: async (account, id, ttlMs) =>
      (await redis.script('sweepBegin', 'beginning a sweep', { keys: sweep(account), args: [id, ttlMs] })) === 1,
    renewSweep: async (account, id, ttlMs) => {
      const keys = [redisKeys.sweep(account)];
      return (await redis.script('sweepRenew', 'renewing a sweep', { keys, args: [id, ttlMs] })) === 1;
    },
    condemn: async ({ account, id, ttlMs }, hashes) => {
      let holds: string[] = [];
      for (let tries = 0; tries < condemnTries; tries++) {
        const reply = await redis.script('sweepCondemn', `condemning ${hashes.length} objects`, {
          keys: [
            ...[...sweep(account), redisKeys.holds(account)],
            ...holds.map((hold) => redisKeys.reserved(account, hold)),
          ],
          args: [id, ttlMs, holds.length, ...holds, ...hashes.map(shortened)],
        });
        const [verdict, list = []] = reply as [string, string[]?];
        if (verdict === 'lapsed') return null;
        if (verdict === 'condemned') return inFull(hashes, list);
        holds = list;
      }
      // New holds come faster than they can be looked at: the next sweep finds these objects again.
      return [];
    },
    absolve: async (account, id) => {
      await redis.script('sweepEnd', 'ending a batch of a sweep', { keys: sweep(account), args: [id, 'batch'] });
    },
    endSweep: async (account, id) => {
      await redis.script('sweepEnd', 'ending a sweep', { keys: sweep(account), args: [id, ''] });
    },
  };
}

function inFull(hashes: readonly Hash[], short: readonly string[]): Hash[] {
  const named = new Set(short);
  return hashes.filter((hash) => named.has(shortened(hash)));
}
