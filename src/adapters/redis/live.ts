import type { LiveEntry, LiveId, LiveStore, LiveValue } from '../../common/ports/live-store.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Behind every key that begins with the prefix: no text has this byte. */
const behind = Buffer.from([0xff]);

/** Records of network file systems, each in a slot of its own. */
export function createLive(redis: RedisConnection): LiveStore {
  return {
    read: async (fs, keys) => {
      if (keys.length === 0) return [];
      return await redis.run('reading a network file system', (client) => client.hmget(redisKeys.live(fs), ...keys));
    },
    list: async (fs, { prefix, after, limit }) => {
      const low = after === null ? `[${prefix}` : `(${after}`;
      const answer = await redis.binaryScript('liveList', 'listing a network file system', {
        keys: namesOf(fs),
        args: [low, Buffer.concat([Buffer.from(`(${prefix}`), behind]), limit],
      });
      return pairsOf(answer as readonly Buffer[]);
    },
    commit: async (fs, seen, writes) => {
      const args = [seen.length, ...[...seen, ...writes].flatMap(argumentsOf)];
      return (await redis.script('liveCommit', 'changing a network file system', { keys: namesOf(fs), args })) === 1;
    },
  };
}

function namesOf(fs: LiveId): string[] {
  return [redisKeys.live(fs), redisKeys.liveKeys(fs)];
}

function argumentsOf({ key, value }: LiveValue): string[] {
  return value === null ? [key, '-', ''] : [key, '+', value];
}

function pairsOf(answer: readonly Buffer[]): LiveEntry[] {
  const texts = answer.map((bytes) => bytes.toString('utf8'));
  return texts.flatMap((key, i) => (i % 2 === 0 ? [{ key, value: texts[i + 1] ?? '' }] : []));
}
