import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scenario } from '../scenario.js';

const leaseTtlMs = 6_000;

export const redisKilled: Scenario = {
  name: 'redis-killed',
  what: 'kill -9 of Redis, back from its file after 2 s',
  isShort: true,
  setup: { leaseTtlMs },
  run: async (world) => {
    await world.fault(async () => {
      await world.redis.kill();
      await delay(2_000);
      await world.redis.restart();
    });
    await (await (await world.remote()).Ledger.named('after-redis')).total();
    await world.calm();
    return '';
  },
};

export const redisFailover: Scenario = {
  name: 'redis-failover',
  what: 'kill -9 of the master of Redis, Sentinel makes the replica master',
  setup: { leaseTtlMs: 15_000, sentinel: true },
  run: async (world) => {
    await world.fault(() => world.redis.kill());
    await (await (await world.remote()).Ledger.named('after-failover')).total();
    await world.calm();
    return '';
  },
};

export const redisRestored: Scenario = {
  name: 'redis-restored',
  what: 'Redis comes back from a file of 5 s before, after new instances and a lost worker',
  setup: { leaseTtlMs },
  run: async (world) => {
    const [data, old] = [join(world.redisFolder, 'appendonlydir'), join(world.redisFolder, 'old')];
    await cp(data, old, { recursive: true });
    const remote = await world.remote();
    const later = await Promise.all(Array.from({ length: 8 }, (_, i) => remote.Ledger.named(`later-${i}`)));
    await Promise.all(later.map((ledger, i) => ledger.append(`later/${i}`)));
    const { worker, instances } = await world.victim();
    await world.fault(() => worker.kill());
    await delay(5_000);
    await world.fault(async () => {
      await world.redis.kill();
      await rm(data, { recursive: true });
      await cp(old, data, { recursive: true });
      await world.redis.restart();
    });
    await Promise.all(later.map((ledger) => ledger.total()));
    await worker.restart();
    await world.calm();
    return `${instances} instances were lost and ${later.length} forgotten`;
  },
};

export const natsRestarted: Scenario = {
  name: 'nats-restarted',
  what: 'kill -9 of NATS, back after 5 s',
  setup: { leaseTtlMs },
  run: async (world) => {
    await world.fault(async () => {
      await world.nats.kill();
      await delay(5_000);
      await world.nats.restart();
    });
    await (await (await world.remote()).Ledger.named('after-nats')).total();
    await world.calm();
    return '';
  },
};
