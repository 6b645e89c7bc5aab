import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scenario } from '../scenario.js';

export const redisKilled: Scenario = {
  name: 'redis-killed',
  what: 'kill -9 of Redis, back from its file after 2 s',
  isShort: true,
  setup: {},
  run: async (world) => {
    await world.fault(async () => {
      await world.servers.redis.kill();
      await delay(2_000);
      await world.servers.redis.restart();
    });
    await (await (await world.remote()).Ledger.named('after-redis')).total();
    await world.calm();
    return '';
  },
};

export const redisFailover: Scenario = {
  name: 'redis-failover',
  what: 'kill -9 of the master of Redis, the Sentinels make a replica master; then it comes back',
  setup: { leaseTtlMs: 15_000, sentinel: true },
  run: async (world) => {
    await world.fault(() => world.servers.redis.kill());
    await (await (await world.remote()).Ledger.named('after-failover')).total();
    await world.fault(() => world.servers.redis.restart());
    await world.calm();
    return '';
  },
};

export const redisRestored: Scenario = {
  name: 'redis-restored',
  what: 'Redis comes back from a file of 5 s before, after new instances and a lost worker',
  setup: {},
  run: async (world) => {
    const [data, old] = [join(world.servers.redisFolder, 'appendonlydir'), join(world.servers.redisFolder, 'old')];
    await cp(data, old, { recursive: true });
    const remote = await world.remote();
    const later = await Promise.all(Array.from({ length: 8 }, (_, i) => remote.Ledger.named(`later-${i}`)));
    await Promise.all(later.map((ledger, i) => ledger.append(`later/${i}`)));
    const { worker, instances } = await world.victim();
    await world.fault(() => worker.kill());
    await delay(5_000);
    await world.fault(async () => {
      await world.servers.redis.kill();
      await rm(data, { recursive: true });
      await cp(old, data, { recursive: true });
      await world.servers.redis.restart();
    });
    // Those of the lost worker are known to nobody any more, as their handles say; a name makes them again.
    const again = later.map(async (ledger, i) => {
      const isGone = await ledger.total().then(
        () => false,
        (error: unknown) => (error as { readonly code?: unknown }).code === 'InstanceGone' || Promise.reject(error),
      );
      if (isGone) await (await remote.Ledger.named(`later-${i}`)).total();
    });
    await Promise.all(again);
    await worker.restart();
    await world.calm();
    return `${instances} instances were lost and ${later.length} forgotten`;
  },
};

export const natsRestarted: Scenario = {
  name: 'nats-restarted',
  what: 'kill -9 of NATS, back after 5 s',
  setup: {},
  run: async (world) => {
    await world.fault(async () => {
      await world.servers.nats[0]?.kill();
      await delay(5_000);
      await world.servers.nats[0]?.restart();
    });
    await (await (await world.remote()).Ledger.named('after-nats')).total();
    await world.calm();
    return '';
  },
};

export const natsNodeKilled: Scenario = {
  name: 'nats-node-killed',
  what: 'kill -9 of each of three nodes of NATS in turn, each back after 3 s',
  setup: { natsNodes: 3 },
  run: async (world) => {
    for (const [i, node] of world.servers.nats.entries())
      await world.fault(async () => {
        await node.kill();
        await (await (await world.remote(world.newClient())).Ledger.named(`without-node-${i}`)).total();
        await delay(3_000);
        await node.restart();
      });
    await world.calm();
    return '';
  },
};
