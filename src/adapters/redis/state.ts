import { HoldfastError } from '../../common/errors.js';
import type {
  StateCommit,
  StateEntry,
  StateOwner,
  StatePage,
  StateRange,
  StateStore,
} from '../../common/ports/state-store.js';
import { mostPerPage, pageBytes } from '../records/state-page.js';
import { decodeStateRecord } from '../records/state-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Durable state of instances, each in the slot of its pin (D1). */
export function createState(redis: RedisConnection): StateStore {
  const get = async (
    { key, epoch }: StateOwner,
    name: string,
  ): Promise<{ readonly value: Buffer | null } | 'stale'> => {
    const answer = await redis.binaryScript('stateGet', `reading the state of instance ${key}`, {
      keys: [redisKeys.pin(key), redisKeys.state(key)],
      args: [epoch, name],
    });
    if (isStale(answer)) return 'stale';
    // A script's list ends before its first nil.
    const [value = null] = answer as readonly (Buffer | null)[];
    return { value };
  };
  return {
    commit: async ({ key, epoch }, commit) => {
      const answer = await redis.binaryScript('stateCommit', `committing the state of instance ${key}`, {
        keys: [redisKeys.pin(key), redisKeys.state(key), redisKeys.stateKeys(key)],
        args: [epoch, commit.sequence, alarmOf(commit), ...changesOf(commit)],
      });
      return isStale(answer) ? 'stale' : 'committed';
    },
    get,
    alarm: async (owner) => {
      const found = await get(owner, '');
      if (found === 'stale') return found;
      return { alarm: found.value === null ? null : decodeStateRecord(found.value.toString()).alarm };
    },
    list: async ({ key, epoch }, range) => {
      const answer = await redis.binaryScript('stateList', `listing the state of instance ${key}`, {
        keys: [redisKeys.pin(key), redisKeys.state(key), redisKeys.stateKeys(key)],
        args: [epoch, ...boundsOf(range), Math.min(range.limit, mostPerPage), range.reverse ? 'REV' : '', pageBytes],
      });
      return isStale(answer) ? 'stale' : pageOf(answer as readonly Buffer[]);
    },
  };
}

function alarmOf({ alarm }: StateCommit): string | number {
  return alarm === undefined ? '' : (alarm ?? '-');
}

function changesOf({ changes }: StateCommit): (string | Buffer)[] {
  return changes.flatMap(({ key, value }) =>
    value === null ? ['-', key, ''] : ['+', key, Buffer.from(value.buffer, value.byteOffset, value.byteLength)],
  );
}

function boundsOf({ from, to }: StateRange): readonly [Buffer, Buffer] {
  return [
    from === null ? Buffer.from('-') : Buffer.concat([Buffer.from('['), from]),
    to === null ? Buffer.from('+') : Buffer.concat([Buffer.from('('), to]),
  ];
}

function isStale(answer: unknown): boolean {
  return Buffer.isBuffer(answer) && answer.toString() === 'stale';
}

function pageOf([more, ...pairs]: readonly Buffer[]): StatePage {
  const entries: StateEntry[] = [];
  for (let at = 0; at < pairs.length; at += 2) {
    const [key, value] = [pairs[at], pairs[at + 1]];
    if (key === undefined || value === undefined) throw new HoldfastError('Internal', 'a page of state has no values');
    entries.push({ key: key.toString('utf8'), value });
  }
  return { entries, isEnd: more?.toString() === 'end' };
}
