import { Redis } from 'ioredis';
import { describe, expect, test, vi } from 'vitest';
import { createRedisStore } from '../../src/adapters/redis/redis-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { HoldfastError } from '../../src/common/errors.js';
import { type BootId, instanceKey } from '../../src/common/ids.js';
import { creation } from '../contracts/store/pin-changes.js';
import { startRedis, startRedisCluster, startSentinel, type TestServer } from '../servers.js';
import { untilAnswered } from './until-answered.js';

describe('a Redis Cluster that loses a node', () => {
  test('refuses what belongs to it and goes on when it is back', async () => {
    await using servers = await startRedisCluster();
    const store = await createRedisStore({
      url: servers.url,
      clock: systemClock,
      opTimeoutMs: 3_000,
      quarantineMs: 500,
    });
    const keys = Array.from({ length: 30 }, (_, i) => ({ account: 'a', app: 'app', className: 'C', id: `id-${i}` }));
    const changeAll = () => Promise.allSettled(keys.map((who) => store.pins.change(instanceKey(who), creation(who))));
    for (const result of await changeAll())
      expect(result).toMatchObject({ status: 'fulfilled', value: { applied: true } });
    const [node] = servers.nodes as [TestServer];
    await node.stop();
    const broken = (await changeAll()).filter((result) => result.status === 'rejected');
    expect(broken.length).toBeGreaterThan(0);
    for (const { reason } of broken) expect(reason).toMatchObject({ code: 'Unavailable', retryable: true });
    await node.start();
    for (const who of keys) {
      const found = await untilAnswered(() => store.pins.change(instanceKey(who), creation(who)));
      expect(found.pin?.state).toBe('placing');
    }
    await store.close();
  });

  test('or all of them queues nothing, and goes on when they are back', async () => {
    await using servers = await startRedisCluster();
    const store = await createRedisStore({
      url: servers.url,
      clock: systemClock,
      opTimeoutMs: 3_000,
      quarantineMs: 500,
    });
    await store.leases.release('boot' as BootId);
    await Promise.all(servers.nodes.map((node) => node.stop()));
    await vi.waitUntil(
      async () => {
        const error = await store.leases.read('boot' as BootId).catch((e: unknown) => e);
        expect(error).toMatchObject({ code: 'Unavailable', retryable: true });
        return (error as HoldfastError).outcome === 'not-run';
      },
      { timeout: 10_000 },
    );
    await Promise.all(servers.nodes.map((node) => node.start()));
    expect(await untilAnswered(() => store.leases.read('boot' as BootId))).toEqual({ phase: 'absent' });
    await store.close();
  });
});

describe('a Redis behind Sentinels', () => {
  test('is found through them, also after the master was replaced', async () => {
    await using master = await startRedis();
    await using replica = await startRedis({ arguments: ['--replicaof', `127.0.0.1 ${master.port}`] });
    await using sentinel = await startSentinel('main', master.port);
    await untilReplicated(master.port);
    const url = `redis+sentinel://127.0.0.1:${sentinel.port}/main`;
    const store = await createRedisStore({ url, clock: systemClock, opTimeoutMs: 3_000, quarantineMs: 500 });
    const who = { account: 'a', app: 'app', className: 'C', id: 'x' };
    const { pin } = await store.pins.change(instanceKey(who), creation(who));
    const admin = new Redis(master.port, '127.0.0.1');
    await admin.wait(1, 5_000);
    admin.disconnect();
    await master.stop();
    await expect(store.pins.change(instanceKey(who), creation(who))).rejects.toMatchObject({ code: 'Unavailable' });
    const again = await untilAnswered(() => store.pins.change(instanceKey(who), creation(who)), 30_000);
    expect(again).toEqual({ applied: false, pin });
    expect(replica.port).not.toBe(master.port);
    await store.close();
  });

  test('whose name they do not know is unavailable', async () => {
    await using master = await startRedis();
    await using sentinel = await startSentinel('main', master.port);
    const url = `redis+sentinel://127.0.0.1:${sentinel.port}/other`;
    await expect(createRedisStore({ url, clock: systemClock, opTimeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(url),
    });
  });
});

async function untilReplicated(masterPort: number): Promise<void> {
  const client = new Redis(masterPort, '127.0.0.1');
  try {
    while (!(await client.info('replication')).includes('state=online')) await systemClock.sleep(20);
  } finally {
    client.disconnect();
  }
}
