/** Churn with a fault every ten seconds: `npm run soak -- --minutes N`. See docs/reliability.md. */
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isHoldfastError } from 'holdfast';
import { writeTable } from '../sim/report.js';
import { check } from './checker.js';
import { type Footprint, footprintOf } from './footprint.js';
import { World } from './world.js';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, report: { type: 'string' } },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes is ${values.minutes}: expected a number above zero`);

const faultEveryMs = 10_000;
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

const faults: Readonly<Record<string, (world: World) => Promise<void>>> = {
  'worker killed': async ({ workers: [worker] }) => {
    await worker?.kill();
    await worker?.restart();
  },
  'worker drained': async ({ workers }) => {
    await workers.at(-1)?.kill('SIGTERM');
    await workers.at(-1)?.restart();
  },
  'watchdog killed': async (world) => {
    const [worker] = world.workers;
    if (worker !== undefined) for (const pid of await world.watchdogsOf(worker)) process.kill(pid, 'SIGKILL');
  },
  'worker stopped for 3 s': async ({ workers: [worker] }) => {
    worker?.signal('SIGSTOP');
    await delay(3_000);
    worker?.signal('SIGCONT');
  },
  'router killed': async ({ routers: [router] }) => {
    await router?.kill();
    await router?.restart();
  },
  'NATS killed': async ({ nats }) => {
    await nats.kill();
    await nats.restart();
  },
  'Redis killed': async ({ redis }) => {
    await redis.kill();
    await redis.restart();
  },
};

await using world = await World.start({ workers: 2, routers: 2, instances: 12 });
await churn(world, new AbortController().signal, 40);
await world.calm(5_000);
const before = await footprintOf(world);
const churning = new AbortController();
const churned = churn(world, churning.signal, Infinity);
const done = new Map<string, number>();
const until = performance.now() + minutes * 60_000;
for (let i = 0; performance.now() < until; i++) {
  const names = Object.keys(faults);
  const name = names[i % names.length] as string;
  const startedAt = performance.now();
  await world.fault(() => faults[name]?.(world) ?? Promise.resolve());
  done.set(name, (done.get(name) ?? 0) + 1);
  await delay(Math.max(0, startedAt + faultEveryMs - performance.now()));
}
churning.abort();
const cycles = await churned;
const after = await settled(world, before);
await world.load.stop();
const verdict = check(await world.ledger(), world.load.calls, { windows: world.windows, mayOverlap: false });
report();

/** Instances that are made, called and closed, by clients that come and go. Gives how many. */
async function churn(world: World, signal: AbortSignal, most: number): Promise<number> {
  let count = 0;
  const lane = async (number: number): Promise<void> => {
    while (!signal.aborted && count < most) {
      count += 1;
      const id = `churn-${number}-${count}`;
      const client = world.newClient();
      try {
        const ledger = await (await world.remote(client)).Ledger.named(id);
        await ledger.append(`${id}/call`);
      } catch (error) {
        // A fault may end any of them; what is not an answer of the product is not expected.
        if (!isHoldfastError(error)) throw error;
      }
      await world.forget(client, id);
      await delay(50);
    }
  };
  await Promise.all([1, 2, 3, 4].map(lane));
  return count;
}

/** What is held, once it is near to what it was, or after a minute. */
async function settled(world: World, before: Footprint): Promise<Footprint> {
  const end = performance.now() + settlesWithinMs;
  for (;;) {
    const now = await footprintOf(world);
    if (performance.now() > end || grown(before, now).length === 0) return now;
    await delay(1_000);
  }
}

function grown(before: Footprint, after: Footprint): (keyof Footprint)[] {
  const names = Object.keys(before) as (keyof Footprint)[];
  return names.filter((name) => after[name] - before[name] > tolerated[name]);
}

function report(): void {
  const left = grown(before, after);
  const rows = (Object.keys(before) as (keyof Footprint)[]).map((name) => [
    ...[name, String(before[name]), String(after[name]), left.includes(name) ? '**grown**' : 'yes'],
  ]);
  for (const [name = '', was, is, verdict] of rows) console.log(`${name.padEnd(16)} ${was} -> ${is} ${verdict}`);
  const text = [...done].map(([name, count]) => `${name} ${count}`).join(', ');
  const { calls, unknown, violations } = verdict;
  console.log(
    `${minutes} min: ${text}; ${cycles} instances and clients came and went; ${calls} calls, ${unknown} unknown`,
  );
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION ${violation}`);
  if (left.length > 0 || violations.length > 0) process.exitCode = 1;
  if (values.report !== 'docs') return;
  const total = [
    `${minutes} min: faults ${text}`,
    `${cycles} instances came and went`,
    `${calls} calls, ${unknown} unknown`,
  ];
  writeTable(
    'soak',
    ['of routers and workers', 'before', 'after', 'as before'],
    [...rows, [...total, violations.length === 0 ? '0 violations' : `**${violations.length} violations**`]],
  );
}
