import { setTimeout as delay } from 'node:timers/promises';
import { check } from './checker.js';
import { churn } from './churn.js';
import { type Footprint, footprintOf } from './footprint.js';
import { World } from './world.js';

export interface SoakOutcome {
  readonly minutes: number;
  /** How often each fault was made. */
  readonly faults: ReadonlyMap<string, number>;
  /** Instances that were made and closed, each by a client of its own. */
  readonly visitors: number;
  readonly before: Footprint;
  readonly after: Footprint;
  /** What is more than it was, and more than it may be. */
  readonly grown: readonly (keyof Footprint)[];
  readonly calls: number;
  readonly unknown: number;
  readonly violations: readonly string[];
}

const faultEveryMs = 10_000;
const warmUpVisitors = 40;
/** Containers that nobody uses are kept for a while, and freed memory is given back late. */
const settlesWithinMs = 60_000;
const tolerated: Readonly<Record<keyof Footprint, number>> = {
  processes: 4,
  memoryMb: 400,
  fileDescriptors: 120,
  sockets: 60,
  redisKeys: 8,
  cgroups: 4,
};

const faults: readonly (readonly [name: string, harm: (world: World) => Promise<void>])[] = [
  [
    'worker killed',
    async ({ workers: [worker] }) => {
      await worker?.kill();
      await worker?.restart();
    },
  ],
  [
    'worker drained',
    async ({ workers }) => {
      await workers.at(-1)?.kill('SIGTERM');
      await workers.at(-1)?.restart();
    },
  ],
  [
    'watchdog killed',
    async (world) => {
      const [worker] = world.workers;
      if (worker !== undefined) for (const pid of await world.watchdogsOf(worker)) process.kill(pid, 'SIGKILL');
    },
  ],
  [
    'worker stopped for 3 s',
    async ({ workers: [worker] }) => {
      worker?.signal('SIGSTOP');
      await delay(3_000);
      worker?.signal('SIGCONT');
    },
  ],
  [
    'router killed',
    async ({ routers: [router] }) => {
      await router?.kill();
      await router?.restart();
    },
  ],
  [
    'NATS killed',
    async ({ servers: { nats } }) => {
      await nats[0]?.kill();
      await nats[0]?.restart();
    },
  ],
  [
    'Redis killed',
    async ({ servers: { redis } }) => {
      await redis.kill();
      await redis.restart();
    },
  ],
];

/** Clients and instances come and go for so long, with a fault every ten seconds; what is held afterwards is compared. */
export async function runSoak(minutes: number): Promise<SoakOutcome> {
  await using world = await World.start({ instances: 12 });
  await churn(world, new AbortController().signal, warmUpVisitors);
  await world.calm(5_000);
  const before = await footprintOf(world);
  const churning = new AbortController();
  const churned = churn(world, churning.signal);
  // Awaited below: until then its failure is not one that nobody hears of.
  churned.catch(() => churning.abort());
  const done = await attack(world, { until: performance.now() + minutes * 60_000, signal: churning.signal });
  churning.abort();
  const visitors = await churned;
  const after = await settled(world, before);
  await world.load.stop();
  const verdict = check(await world.ledger(), world.load.calls, { windows: world.windows, mayOverlap: false });
  return { minutes, faults: done, visitors, before, after, grown: grownSince(before, after), ...verdict };
}

async function attack(
  world: World,
  { until, signal }: { readonly until: number; readonly signal: AbortSignal },
): Promise<Map<string, number>> {
  const done = new Map<string, number>();
  for (let i = 0; performance.now() < until && !signal.aborted; i++) {
    const [name, harm] = faults[i % faults.length] as (typeof faults)[number];
    const startedAt = performance.now();
    await world.fault(() => harm(world));
    done.set(name, (done.get(name) ?? 0) + 1);
    await delay(Math.max(0, startedAt + faultEveryMs - performance.now()));
  }
  return done;
}

/** What is held, once it is near to what it was, or after a minute. */
async function settled(world: World, before: Footprint): Promise<Footprint> {
  const end = performance.now() + settlesWithinMs;
  for (;;) {
    const now = await footprintOf(world);
    if (performance.now() > end || grownSince(before, now).length === 0) return now;
    await delay(1_000);
  }
}

function grownSince(before: Footprint, after: Footprint): (keyof Footprint)[] {
  const names = Object.keys(before) as (keyof Footprint)[];
  return names.filter((name) => after[name] - before[name] > tolerated[name]);
}
