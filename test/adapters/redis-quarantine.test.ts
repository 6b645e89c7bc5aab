import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { createRedisStore } from '../../src/adapters/redis/redis-store.js';
import { slotOf, tagOfSlot } from '../../src/adapters/redis/slots.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { type BootId, instanceKey, type WorkerId } from '../../src/common/ids.js';
import type { LeaseRecord } from '../../src/common/lease.js';
import type { Pin } from '../../src/common/pin.js';
import type { Store } from '../../src/common/ports/store.js';
import { applied, creation, identity, next } from '../contracts/store/pin-changes.js';
import { startRedis, startRedisCluster, startSentinel, type TestServer } from '../servers.js';
import { untilAnswered } from './until-answered.js';

/** Nobody waits for the end of it. */
const longMs = 600_000;
const quarantined = { code: 'StoreQuarantined', retryable: true, outcome: 'not-run' };

const opened: Store[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});

async function open(url: string, quarantineMs = longMs): Promise<Store> {
  const store = await createRedisStore({ url, clock: systemClock, opTimeoutMs: 3_000, quarantineMs });
  opened.push(store);
  return store;
}

function lease(bootId: string): LeaseRecord {
  return { bootId: bootId as BootId, workerId: 'w' as WorkerId, account: 'a', address: 'h:1' };
}

function change(store: Store, who = identity()): Promise<Pin> {
  return store.pins.change(instanceKey(who), creation(who)).then(applied);
}

async function again(server: TestServer, store: Store): Promise<void> {
  await server.stop();
  await server.start();
  await untilAnswered(() => store.ping());
}

describe('a Redis that is new', () => {
  test('is in no quarantine, for the first process and for those after it', async () => {
    await using server = await startRedis();
    for (let i = 0; i < 2; i++) {
      const store = await open(server.url);
      expect(await store.leases.read('nobody' as BootId)).toEqual({ phase: 'absent' });
      expect((await change(store)).state).toBe('placing');
    }
  });
});

describe('a Redis that was started again and has lost everything', () => {
  test('lets nobody who knew it move a pin, nor take a lease for gone', async () => {
    await using server = await startRedis();
    const store = await open(server.url);
    const pin = await change(store);
    await again(server, store);
    await expect(change(store)).rejects.toMatchObject(quarantined);
    await expect(store.leases.read('gone' as BootId)).rejects.toMatchObject(quarantined);
    // What is expected and not there is told at once: nothing would be changed.
    const refused = await store.pins.change(instanceKey(pin.identity), next(pin, 'active'));
    expect(refused).toEqual({ applied: false, pin: null });
  });

  test('is taken for new by who comes first, until somebody asks who knew it', async () => {
    await using server = await startRedis();
    const before = await open(server.url);
    await change(before);
    await again(server, before);
    const fresh = await open(server.url);
    expect((await change(fresh)).state).toBe('placing');
    await expect(change(before)).rejects.toMatchObject(quarantined);
    await expect((await open(server.url)).leases.read('gone' as BootId)).rejects.toMatchObject(quarantined);
  });

  test('knows what its boots attest, and lets the highest epoch win', async () => {
    await using server = await startRedis();
    const store = await open(server.url);
    const placed = await change(store);
    const key = instanceKey(placed.identity);
    const active = applied(await store.pins.change(key, next(placed, 'active')));
    await again(server, store);
    expect(await store.pins.attest(key, active)).toBe('stands');
    expect(await store.pins.get(key)).toEqual(active);
    expect(await store.pins.handle(key)).toMatchObject({ generation: active.generation });
    const { app, account, className } = active.identity;
    const page = await store.pins.list({ account, app, className }, { limit: 10, after: null });
    expect(page.pins).toEqual([active]);
    expect(await store.pins.attest(key, { ...active, epoch: active.epoch - 1 })).toBe('superseded');
    // Its worker lets go of it, quarantine or not.
    const leaves = { ...next(active, 'idle'), byOwner: true };
    expect((await store.pins.change(key, leaves)).applied).toBe(true);
    expect(await store.pins.attest(key, active)).toBe('ended');
  });

  test('has forgotten the leases of boots, which make them anew; those that lapse on it are refused', async () => {
    await using server = await startRedis();
    const store = await open(server.url);
    const mine = lease('mine');
    await store.leases.create(mine, 15_000);
    const [run] = await store.servers();
    await again(server, store);
    expect(await store.servers()).not.toContain(run);
    expect(await store.leases.renew(mine.bootId, 15_000)).toBe('forgotten');
    await store.leases.create(mine, 15_000);
    expect(await store.leases.renew(mine.bootId, 15_000)).toBe('renewed');
    await store.leases.create(lease('short'), 1);
    await untilAnswered(async () => expect((await renewal(store, 'short')) ?? 'refused').toBe('refused'));
    expect(await store.leases.renew('of another process' as BootId, 15_000)).toBe('refused');
  });

  test('has been in quarantine since the first renewal of a lease, though nothing was placed meanwhile', async () => {
    await using server = await startRedis();
    const store = await open(server.url);
    const mine = lease('mine');
    await store.leases.create(mine, 15_000);
    await again(server, store);
    expect(await store.leases.renew(mine.bootId, 15_000)).toBe('forgotten');
    const redis = new Redis(server.url);
    try {
      const began = await redis.get('hf:owner');
      expect(began).toMatch(/^[0-9a-f]{40} \d+$/);
      await expect(change(store)).rejects.toMatchObject(quarantined);
      expect(await redis.get('hf:owner')).toBe(began);
    } finally {
      redis.disconnect();
    }
  });

  test('is out of quarantine after its time', async () => {
    await using server = await startRedis();
    const store = await open(server.url, 300);
    await change(store);
    await again(server, store);
    await expect(change(store)).rejects.toMatchObject(quarantined);
    const who = identity();
    expect((await untilAnswered(() => change(store, who))).state).toBe('placing');
    expect(await store.leases.read('gone' as BootId)).toEqual({ phase: 'absent' });
  });
});

/** Asked for again until it has lapsed. */
async function renewal(store: Store, bootId: string): Promise<string | null> {
  const { phase } = await store.leases.read(bootId as BootId).catch(() => ({ phase: 'absent' }));
  return phase === 'absent' ? await store.leases.renew(bootId as BootId, 1) : null;
}

describe('a Redis whose data came from another run', () => {
  test('is in quarantine for everybody after the restore of an old file', async () => {
    await using server = await startRedis({ arguments: ['--appendonly', 'yes'] });
    const store = await open(server.url);
    await change(store);
    const [data, old] = ['appendonlydir', 'old'].map((name) => join(server.folder, name)) as [string, string];
    await cp(data, old, { recursive: true });
    await change(store);
    await server.stop();
    await rm(data, { recursive: true });
    await cp(old, data, { recursive: true });
    await server.start();
    await expect(change(await open(server.url))).rejects.toMatchObject(quarantined);
    await untilAnswered(() => store.ping());
    await expect(change(store)).rejects.toMatchObject(quarantined);
  });

  test('is in quarantine after a replica has taken over', async () => {
    await using master = await startRedis();
    await using replica = await startRedis({ arguments: ['--replicaof', `127.0.0.1 ${master.port}`] });
    await using sentinel = await startSentinel('main', master.port);
    const url = `redis+sentinel://127.0.0.1:${sentinel.port}/main`;
    const store = await open(url);
    await change(store);
    const admin = new Redis(master.port, '127.0.0.1');
    while (!(await admin.info('replication')).includes('state=online')) await systemClock.sleep(20);
    await admin.wait(1, 5_000);
    admin.disconnect();
    await master.stop();
    await untilAnswered(() => store.ping(), 60_000);
    await expect(change(store)).rejects.toMatchObject(quarantined);
    await expect(change(await open(url))).rejects.toMatchObject(quarantined);
    expect(replica.port).not.toBe(master.port);
  });
});

describe('a Redis Cluster', () => {
  test('has a tag for each slot', () => {
    const keys = Array.from({ length: 200 }, (_, i) => `hf:pin:{some-${i}}`);
    for (const key of keys) expect(slotOf(tagOfSlot(key))).toBe(slotOf(key));
    // CRC-16/XMODEM of `123456789` is 0x31c3.
    expect(slotOf('123456789')).toBe(0x31c3);
  });

  test('is in quarantine where a node was started again without its data, and nowhere else', async () => {
    await using servers = await startRedisCluster();
    const store = await open(servers.url);
    const keys = Array.from({ length: 24 }, () => identity());
    for (const who of keys) await untilAnswered(() => change(store, who));
    const before = await store.servers();
    const [node] = servers.nodes as [TestServer];
    await node.stop();
    // Who is away is taken for what he was, or left out.
    for (const run of await store.servers()) expect(before).toContain(run);
    await node.start();
    const outcomes = new Map<string, number>();
    for (const who of keys) {
      const remade = async (): Promise<string> => {
        try {
          const { applied: isApplied } = await store.pins.change(instanceKey(who), creation(who));
          return isApplied ? 'made' : 'stands';
        } catch (error) {
          if ((error as { code?: string }).code === 'StoreQuarantined') return 'quarantined';
          throw error;
        }
      };
      const outcome = await untilAnswered(remade);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    expect(outcomes.get('made')).toBeUndefined();
    expect(outcomes.get('quarantined')).toBeGreaterThan(0);
    expect(outcomes.get('stands')).toBeGreaterThan(0);
  });
});
