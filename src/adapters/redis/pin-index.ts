import type { Clock } from '../../common/clock.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Pin } from '../../common/pin.js';
import type { PinPage, PinScope, PinStore } from '../../common/ports/store.js';
import { shardCount, shardOf } from '../../wire/subjects.js';
import {
  checkPageLimit,
  comparePositions,
  decodePosition,
  encodePosition,
  type PagePosition,
} from '../records/page.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

// I1. An entry without a pin may be about to get one: it is removed only when it has been there for long.
// I2. An entry is removed only as it was seen: one that was entered again meanwhile has another score.
// I3. What is removed by mistake never returns, what stays by mistake is found by the next listing: when in doubt, it stays.

const entryWithoutPinMs = 60_000;
/** A page of an index with many wrong entries may come out short; the next listing finds them gone. */
const mostRounds = 20;

export interface PinIndex {
  /** The sorted set that has the id. */
  nameOf(key: InstanceKey, pin: Made): string;
  /** Enters an id that is made or remade. */
  add(key: InstanceKey, pin: Made): Promise<void>;
  remove(key: InstanceKey, pin: Made): Promise<void>;
  readonly list: PinStore['list'];
}

type Made = Pick<Pin, 'identity' | 'createdAtMs'>;

/** Ids of each class by age, for `list`; in other slots than the pins, hence only nearly right. */
export function createPinIndex(parts: {
  readonly redis: RedisConnection;
  readonly clock: Clock;
  readonly readPins: (keys: readonly InstanceKey[]) => Promise<(Pin | null)[]>;
}): PinIndex {
  const { redis, clock, readPins } = parts;

  async function drop(index: string, { key, createdAtMs }: PagePosition): Promise<void> {
    await redis.script('indexRemove', `removing ${key} from its index`, { keys: [index], args: [key, createdAtMs] });
  }

  async function list(scope: PinScope, page: Parameters<PinStore['list']>[1]): Promise<PinPage> {
    checkPageLimit(page.limit);
    let position = decodePosition(page.after);
    const pins: Pin[] = [];
    for (let round = 0; round < mostRounds; round++) {
      const wanted = page.limit - pins.length;
      const entries = await readEntries({ redis, scope, after: position, limit: wanted });
      const found = await readPins(entries.map((entry) => entry.key as InstanceKey));
      const repairs: Promise<void>[] = [];
      for (const [i, entry] of entries.entries()) {
        const pin = found[i];
        if (pin && pin.state !== 'closed') pins.push(pin);
        else if (pin || clock.now() - entry.createdAtMs > entryWithoutPinMs)
          repairs.push(drop(redisKeys.index(scope, shardOf(entry.key as InstanceKey)), entry));
      }
      await Promise.allSettled(repairs); // A repair that fails is made by the next listing.
      position = entries.at(-1) ?? position;
      if (entries.length < wanted) return { pins, next: null };
      if (pins.length === page.limit) break;
    }
    return { pins, next: position === null ? null : encodePosition(position) };
  }

  const nameOf: PinIndex['nameOf'] = (key, { identity }) => redisKeys.index(identity, shardOf(key));
  return {
    nameOf,
    add: async (key, pin) => {
      await redis.run(`entering ${key} in its index`, (client) => client.zadd(nameOf(key, pin), pin.createdAtMs, key));
    },
    remove: (key, pin) => drop(nameOf(key, pin), { key, createdAtMs: pin.createdAtMs }),
    list,
  };
}

interface Reading {
  readonly redis: RedisConnection;
  readonly scope: PinScope;
  readonly after: PagePosition | null;
  readonly limit: number;
}

/** The next entries of all shards, in order. */
async function readEntries(reading: Reading): Promise<PagePosition[]> {
  const shards = Array.from({ length: shardCount }, (_, shard) => readShard(reading, shard));
  const entries = (await Promise.all(shards)).flat();
  return entries.sort(comparePositions).slice(0, reading.limit);
}

async function readShard({ redis, scope, after, limit }: Reading, shard: number): Promise<PagePosition[]> {
  const entries: PagePosition[] = [];
  // A range starts at a score, not behind an entry: entries of the same millisecond come again, and are left out here.
  for (let offset = 0; ; offset += limit) {
    const reply = await redis.run(`listing ${scope.app}/${scope.className}`, (client) =>
      client.zrangebyscore(
        redisKeys.index(scope, shard),
        after?.createdAtMs ?? '-inf',
        '+inf',
        'WITHSCORES',
        'LIMIT',
        offset,
        limit,
      ),
    );
    const batch = toPositions(reply);
    entries.push(...batch.filter((entry) => after === null || comparePositions(entry, after) > 0));
    if (entries.length >= limit || batch.length < limit) return entries.slice(0, limit);
  }
}

function toPositions(reply: readonly string[]): PagePosition[] {
  const positions: PagePosition[] = [];
  for (let i = 0; i + 1 < reply.length; i += 2)
    positions.push({ key: reply[i] ?? '', createdAtMs: Number(reply[i + 1]) });
  return positions;
}
