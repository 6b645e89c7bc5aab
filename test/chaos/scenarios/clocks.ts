import type { Scenario } from '../scenario.js';

const hourMs = 3_600_000;
/** In the order in which they come. */
const jumpsMs = [hourMs, -hourMs, 30_000, -30_000, 24 * hourMs, 0];
const betweenMs = 3_000;

export const clocksJump: Scenario = {
  name: 'clocks-jump',
  what: 'the wall clocks of all routers, workers and containers jump by up to a day, each another way, every 3 s; nothing may fail',
  setup: { clocks: true },
  run: async (world) => {
    const since = performance.now();
    for (let i = 0; i < jumpsMs.length; i++) {
      for (const [at, { name }] of [...world.routers, ...world.workers].entries())
        world.site.clocks?.set(name, i === jumpsMs.length - 1 ? 0 : (jumpsMs[(i + at) % jumpsMs.length] ?? 0));
      await world.calm(betweenMs);
      await (await (await world.remote(world.newClient())).Ledger.named(`after-jump-${i}`)).total();
    }
    const failed = world.load.calls.filter(
      ({ startedAt, result }) => startedAt >= since && !['', 'ok'].includes(result),
    );
    if (failed.length > 0) throw new Error(`${failed.length} calls failed, the first with ${failed[0]?.result}`);
    return `${jumpsMs.length} jumps`;
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
