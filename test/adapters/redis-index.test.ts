import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisConnection } from '../../src/adapters/redis/connection.js';
import { redisKeys } from '../../src/adapters/redis/keys.js';
import { createPinIndex } from '../../src/adapters/redis/pin-index.js';
import { createRedisStore } from '../../src/adapters/redis/redis-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { type InstanceKey, instanceKey } from '../../src/common/ids.js';
import { shardOf } from '../../src/wire/subjects.js';
import { creation } from '../contracts/store/pin-changes.js';
import { startRedis, type TestServer } from '../servers.js';

describe('the index of a Redis', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  const scope = { account: 'a', app: 'app', className: 'C' };
  const page = { limit: 10, after: null };

  test('an old entry whose pin is gone is removed by a listing, a new one may yet get its pin', async () => {
    const store = await createRedisStore({ url: server.url, clock: systemClock });
    const admin = new Redis(server.url);
    const entries = async () => {
      const names = await admin.keys('hf:index:a:app:C:*');
      return (await Promise.all(names.map((name) => admin.zrange(name, '0', '-1')))).flat().sort();
    };
    const keys = ['gone', 'coming', 'closed', 'there'].map((id) => instanceKey({ ...scope, id }));
    const [gone, coming, closed, there] = keys as [InstanceKey, InstanceKey, InstanceKey, InstanceKey];
    await store.pins.change(gone, creation({ ...scope, id: 'gone' }, { createdAtMs: 1 }));
    await store.pins.change(coming, creation({ ...scope, id: 'coming' }));
    await store.pins.change(closed, creation({ ...scope, id: 'closed' }));
    await store.pins.change(there, creation({ ...scope, id: 'there' }));
    await admin.del(`hf:pin:{${gone}}`, `hf:pin:{${coming}}`);
    const record = (await admin.get(`hf:pin:{${closed}}`)) ?? '';
    await admin.set(`hf:pin:{${closed}}`, record.replace(' placing ', ' closed '));

    expect(await entries()).toHaveLength(4);
    expect((await store.pins.list(scope, page)).pins.map((pin) => pin.identity.id)).toEqual(['there']);
    expect(await entries()).toEqual([coming, there].sort());
    admin.disconnect();
    await store.close();
  });

  test('an entry that is made again while a listing finds it wrong stays', async () => {
    const redis = await RedisConnection.open({ url: server.url, clock: systemClock, opTimeoutMs: 1_000 });
    const again = { ...scope, app: 'again' };
    const identity = { ...again, id: 'x' };
    const key = instanceKey(identity);
    const readPins = async (keys: readonly InstanceKey[]) => {
      if (keys.length > 0) await index.add(key, { identity, createdAtMs: 2 });
      return keys.map(() => null);
    };
    const index = createPinIndex({ redis, clock: systemClock, readPins });
    await index.add(key, { identity, createdAtMs: 1 });
    expect(await index.list(again, page)).toEqual({ pins: [], next: null });
    expect(await redis.client.zscore(redisKeys.index(again, shardOf(key)), key)).toBe('2');
    await index.remove(key, { identity, createdAtMs: 1 });
    expect(await redis.client.zscore(redisKeys.index(again, shardOf(key)), key)).toBe('2');
    await redis.close();
  });

  test('pages stay full while wrong entries are left out', async () => {
    const store = await createRedisStore({ url: server.url, clock: systemClock });
    const admin = new Redis(server.url);
    const wide = { ...scope, app: 'wide' };
    for (let i = 0; i < 60; i++) {
      const id = `id-${i}`;
      await store.pins.change(instanceKey({ ...wide, id }), creation({ ...wide, id }, { createdAtMs: i + 1 }));
      if (i % 3) await admin.del(`hf:pin:{${instanceKey({ ...wide, id })}}`);
    }
    const first = await store.pins.list(wide, page);
    expect(first.pins.map((pin) => pin.createdAtMs)).toEqual([1, 4, 7, 10, 13, 16, 19, 22, 25, 28]);
    const second = await store.pins.list(wide, { limit: 11, after: first.next });
    expect(second.pins.map((pin) => pin.createdAtMs)).toEqual([31, 34, 37, 40, 43, 46, 49, 52, 55, 58]);
    expect(second.next).toBeNull();
    admin.disconnect();
    await store.close();
  });
});
