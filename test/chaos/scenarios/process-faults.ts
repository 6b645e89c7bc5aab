import { setTimeout as delay } from 'node:timers/promises';
import type { Proc } from '../processes.js';
import type { Scenario } from '../scenario.js';
import type { World } from '../world.js';

/** What happens to the worker that has the most, which is started again a moment later, as a supervisor does. */
async function supervised(world: World, harm: (worker: Proc) => Promise<void>): Promise<string> {
  const { worker, instances } = await world.victim();
  await world.fault(() => harm(worker));
  await worker.restart();
  await world.calm();
  return `${instances} instances were there`;
}

export const workerKilled: Scenario = {
  name: 'worker-killed',
  what: 'kill -9 of a worker, its watchdog lives',
  isShort: true,
  setup: { instances: 24 },
  run: (world) => supervised(world, (worker) => worker.kill()),
};

export const watchdogKilled: Scenario = {
  name: 'watchdog-killed',
  what: 'kill -9 of the watchdog',
  setup: {},
  run: (world) =>
    supervised(world, async (worker) => {
      for (const pid of await world.watchdogsOf(worker)) process.kill(pid, 'SIGKILL');
    }),
};

export const bothKilled: Scenario = {
  name: 'worker-and-watchdog-killed',
  what: 'kill -9 of a worker and its watchdog at once: as a host that is lost',
  setup: {},
  run: (world) => supervised(world, (worker) => world.loseHost(worker)),
};

export const bothKilledDefaultLease: Scenario = {
  ...bothKilled,
  name: 'worker-and-watchdog-killed-15s',
  what: 'the same with the default lease of 15 s',
  setup: { leaseTtlMs: 15_000 },
};

function stopped(seconds: number): Scenario {
  return {
    name: `worker-stopped-${seconds}s`,
    what: `SIGSTOP of a worker for ${seconds} s`,
    setup: {},
    run: (world) =>
      supervised(world, async (worker) => {
        worker.signal('SIGSTOP');
        await delay(seconds * 1_000);
        worker.signal('SIGCONT');
      }),
  };
}

export const stopped5 = stopped(5);
export const stopped15 = stopped(15);
export const stopped40 = stopped(40);

export const bothStopped: Scenario = {
  name: 'worker-and-watchdog-stopped',
  what: 'SIGSTOP of a worker and its watchdog for 15 s: nobody ends the code in time, and nothing of it may commit',
  setup: {},
  mayOverlap: true,
  run: (world) =>
    supervised(world, async (worker) => {
      const watchdogs = await world.watchdogsOf(worker);
      for (const pid of watchdogs) process.kill(pid, 'SIGSTOP');
      worker.signal('SIGSTOP');
      await delay(15_000);
      worker.signal('SIGCONT');
      for (const pid of watchdogs) process.kill(pid, 'SIGCONT');
    }),
};

/** Loaded into every Node process of the worker; containers are started without it. */
const blocks = `process.on('SIGUSR2', () => { const until = Date.now() + 15_000; while (Date.now() < until); });`;

export const blockedLoop: Scenario = {
  name: 'blocked-loop',
  what: 'the event loop of a worker is blocked for 15 s',
  setup: { workerEnv: { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(blocks)}` } },
  run: (world) =>
    supervised(world, async (worker) => {
      worker.signal('SIGUSR2');
      await delay(15_000);
    }),
};

export const routersKilled: Scenario = {
  name: 'routers-killed',
  what: 'kill -9 of all routers, back after 5 s',
  setup: {},
  run: async (world) => {
    await world.fault(async () => {
      await Promise.all(world.routers.map((router) => router.kill()));
      await delay(5_000);
      for (const router of world.routers) await router.restart();
    });
    await (await (await world.remote(world.newClient())).Ledger.named('after-routers')).total();
    await world.calm();
    return '';
  },
};

export const everythingRestarted: Scenario = {
  name: 'everything-restarted',
  what: 'kill -9 of all, servers, routers and workers, then all again',
  setup: {},
  run: async (world) => {
    await world.fault(async () => {
      await Promise.all(world.site.procs.map((proc) => proc.kill()));
      for (const proc of world.site.procs) await proc.restart();
    });
    await world.calm();
    return '';
  },
};

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  what: 'SIGTERM of every router and worker in turn, each started again before the next',
  isShort: true,
  setup: {},
  run: async (world) => {
    await world.fault(async () => {
      for (const proc of [...world.routers, ...world.workers]) {
        await proc.kill('SIGTERM');
        await proc.restart();
        await world.load.answered(performance.now(), 60_000);
      }
    });
    const lost = world.load.calls.filter(({ method, result }) => method === 'put' && result !== 'ok' && result !== '');
    if (lost.length > 0)
      throw new Error(
        `${lost.length} idempotent calls failed: ${lost.map(({ id, result }) => `${id} ${result}`).slice(0, 5)}`,
      );
    await world.calm();
    return 'no idempotent call failed';
  },
};
