import type { Scenario } from '../scenario.js';

const hourMs = 3_600_000;
const minuteMs = 60_000;
/** In the order in which they come. Two clocks are never an hour apart: for so long is a client allowed to call (docs/operations.md). */
const jumpsMs = [20 * minuteMs, -20 * minuteMs, minuteMs, -minuteMs, 10 * minuteMs, 0];
const betweenMs = 3_000;

export const clocksJump: Scenario = {
  name: 'clocks-jump',
  what: 'the wall clocks of all routers, workers and containers jump by up to 20 min, each another way, and nothing may fail; then by a day, and back',
  setup: { clocks: true },
  run: async (world) => {
    const since = performance.now();
    const parts = [...world.routers, ...world.workers];
    for (let i = 0; i < jumpsMs.length; i++) {
      for (const [at, { name }] of parts.entries())
        world.site.clocks?.set(name, i === jumpsMs.length - 1 ? 0 : (jumpsMs[(i + at) % jumpsMs.length] ?? 0));
      await world.calm(betweenMs);
      await (await (await world.remote(world.newClient())).Ledger.named(`after-jump-${i}`)).total();
    }
    const failed = world.load.calls.filter(
      ({ startedAt, result }) => startedAt >= since && !['', 'ok'].includes(result),
    );
    if (failed.length > 0) throw new Error(`${failed.length} calls failed, the first with ${failed[0]?.result}`);
    await world.fault(async () => {
      for (const [at, { name }] of parts.entries()) world.site.clocks?.set(name, (at - 1) * 24 * hourMs);
      await world.calm(betweenMs);
      for (const { name } of parts) world.site.clocks?.set(name, 0);
    });
    await (await (await world.remote(world.newClient())).Ledger.named('after-a-day')).total();
    return `${jumpsMs.length + 2} jumps`;
  },
};

export const storeClockJumps: Scenario = {
  name: 'redis-clock-jumps',
  what: 'the wall clock of Redis jumps an hour ahead, which ends every lease at once, and back again',
  setup: { clocks: true },
  run: async (world) => {
    await world.fault(async () => {
      world.site.clocks?.set('redis1', hourMs);
      await world.calm(betweenMs);
    });
    await world.fault(async () => {
      world.site.clocks?.set('redis1', 0);
      await world.calm(betweenMs);
    });
    await (await (await world.remote(world.newClient())).Ledger.named('after-jumps')).total();
    await world.calm();
    return '';
  },
};
