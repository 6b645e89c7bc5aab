import type { InstanceKey } from '../../common/ids.js';
import type { Ahead, AlarmClaims, AlarmStore } from '../../common/ports/alarm-store.js';
import { decodeStateRecord } from '../records/state-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** In a Cluster they lie on different nodes; a router looks at all of them. */
const shards = 8;

/** Alarms, in the durable state of their instances, and when to look at whom (A1). */
export function createAlarms(redis: RedisConnection): AlarmStore {
  const claimFrom = async (
    key: string,
    { limit, forMs, ahead }: { readonly limit: number; readonly forMs: number; readonly ahead: Ahead },
  ): Promise<AlarmClaims> => {
    const call = { keys: [key], args: [limit, forMs, ahead.withinMs, ahead.fromMs] };
    const answer = await redis.script('alarmClaim', 'claiming alarms', call);
    const [nowMs, untilMs, seenMs, due, ...instances] = answer as readonly string[];
    return {
      nowMs: Number(nowMs),
      seenMs: Number(seenMs),
      claims: instances.map((instance, i) => ({
        key: instance as InstanceKey,
        untilMs: Number(untilMs),
        isAhead: i >= Number(due),
      })),
    };
  };
  return {
    expect: async (account, key, atMs) => {
      const call = { keys: [indexOf(account, key)], args: [key, atMs] };
      await redis.script('alarmExpect', `expecting the alarm of instance ${key}`, call);
    },
    claim: async (account, { limit, forMs, ahead = { fromMs: 0, withinMs: 0 } }) => {
      const each = { limit: Math.max(1, Math.floor(limit / shards)), forMs, ahead };
      const found = await Promise.all(
        Array.from({ length: shards }, (_, shard) => claimFrom(redisKeys.alarms(account, shard), each)),
      );
      // The clocks of the nodes of a Cluster may differ: what one finds due is not early by another.
      const nowMs = Math.max(...found.map((part) => part.nowMs));
      // The shard that had more than its part goes on where it stopped.
      const seenMs = Math.min(...found.map((part) => part.seenMs));
      return { nowMs, seenMs, claims: found.flatMap(({ claims }) => claims) };
    },
    lookAgain: async (account, { key, untilMs }, atMs) => {
      const call = { keys: [indexOf(account, key)], args: [key, untilMs, atMs ?? ''] };
      await redis.script('alarmLookAgain', `looking at the alarm of instance ${key}`, call);
    },
    get: async (key) => {
      const record = await redis.run(`reading the alarm of instance ${key}`, (client) =>
        client.hget(redisKeys.state(key), ''),
      );
      return record === null ? null : decodeStateRecord(record).alarm;
    },
    ended: async ({ key, epoch }, id, retryAfterMs) => {
      const answer = await redis.script('alarmEnded', `ending the alarm of instance ${key}`, {
        keys: [redisKeys.pin(key), redisKeys.state(key)],
        args: [epoch, id, retryAfterMs ?? ''],
      });
      return answer === 'stale' ? 'stale' : { dueMs: answer === 'ended' ? null : Number(answer) };
    },
  };
}

function indexOf(account: string, key: InstanceKey): string {
  // Its characters are those of a hash.
  return redisKeys.alarms(account, (key.charCodeAt(0) + key.charCodeAt(1)) % shards);
}
