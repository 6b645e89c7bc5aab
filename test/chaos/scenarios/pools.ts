import type { ClassInstance, Client } from 'holdfast';
import type { Scenario } from '../scenario.js';
import type { ChaosApp, World } from '../world.js';

type Crowd = ClassInstance<ChaosApp['Crowd']>;

/** How much is asked of the pool. */
interface Amount {
  readonly calls: number;
  /** Spawned and not fetched yet, at once. */
  readonly lanes: number;
  /** Workers that are killed, one after the other. */
  readonly faults: number;
}

/** A call that has not ended by then is lost, whatever was killed. */
const endsWithinMs = 180_000;

interface Progress {
  next: number;
  fetched: number;
  readonly ids: Set<string>;
  readonly pids: Set<number>;
  /** A lane has failed, or somebody gave up waiting. */
  isBroken: boolean;
}

/** @param counts how many calls are spawned where there are some, and where there are very many */
export function poolScenarios(counts: {
  readonly calls: number;
  readonly many: number;
}): Readonly<Record<string, Scenario>> {
  const spawnedThroughPool = scenarioOf('pool-spawned-calls', { calls: counts.calls, lanes: 256, faults: 4 });
  const many = scenarioOf('pool-many-spawned-calls', { calls: counts.many, lanes: 768, faults: 8 });
  return { spawnedThroughPool, manySpawnedThroughPool: { ...many, isLong: true } };
}

function scenarioOf(name: string, amount: Amount): Scenario {
  const { calls, lanes, faults } = amount;
  if (!Number.isInteger(calls) || calls < lanes)
    throw new Error(`${name} takes a whole number of at least ${lanes} calls`);
  return {
    name,
    what: `${calls} spawned calls through a pool at three workers, of which ${faults} times one is killed, its own or one that lends`,
    setup: { leaseTtlMs: 6_000, workers: 3, instances: 2 },
    run: (world) => spawnAll(world, amount),
  };
}

async function spawnAll(world: World, amount: Amount): Promise<string> {
  const { calls, lanes } = amount;
  const startedAt = performance.now();
  const client = world.newClient();
  const crowd = await (await world.remote(client)).Crowd.bind();
  const progress: Progress = { next: 0, fetched: 0, ids: new Set(), pids: new Set(), isBroken: false };
  const running = Array.from({ length: lanes }, () => lane(crowd, calls, progress));
  const done = Promise.all(running);
  // Whoever waits for faults first learns of it, too.
  done.catch(() => (progress.isBroken = true));
  try {
    const places = await killWhile(world, crowd, { ...amount, done, progress });
    await done;
    const perSecond = Math.round((1_000 * calls) / (performance.now() - startedAt));
    await checkTaken(crowd, calls, progress);
    return `${perSecond} calls/s, in ${progress.pids.size} containers at ${places.size} workers`;
  } finally {
    progress.isBroken = true;
    await Promise.allSettled(running);
    await leave(world, client, crowd);
  }
}

/** Gives the workers at which the pool was. */
async function killWhile(
  world: World,
  crowd: Crowd,
  { done, progress, calls, faults }: Amount & { readonly done: Promise<unknown>; readonly progress: Progress },
): Promise<ReadonlySet<string>> {
  const places = new Set<string>();
  for (let fault = 1; fault <= faults; fault += 1) {
    await Promise.race([done, reached(progress, (calls * fault) / (faults + 1))]);
    const where = await placesOf(crowd);
    for (const workerId of where) places.add(workerId);
    const at = fault % 2 === 1 ? where.length - 1 : 0;
    const victim = world.workers.find(({ name }) => name === where[at]);
    if (victim === undefined) throw new Error(`the pool is nowhere: ${where.join(', ')}`);
    await world.fault(() => victim.kill());
    await victim.restart();
  }
  return places;
}

/** Page by page, where they are: that many different whole numbers from 0 on, of which the last is known, are all of them. */
async function checkTaken(crowd: Crowd, calls: number, progress: Progress): Promise<void> {
  const { count, strange, most } = await crowd.taken();
  if (count !== calls || strange > 0 || most !== calls - 1)
    throw new Error(`${calls} numbers were spawned; ${count} were taken, ${strange} of them strange, up to ${most}`);
  if (progress.ids.size !== Math.min(calls, rememberedIds))
    throw new Error(`${calls} calls have ${progress.ids.size} ids`);
}

/** Of a million the first are enough to tell whether ids are given twice. */
const rememberedIds = 200_000;

/** One after another: spawned, and fetched by its id. */
async function lane(crowd: Crowd, calls: number, progress: Progress): Promise<void> {
  while (progress.next < calls && !progress.isBroken) {
    const number = progress.next++;
    const call = await crowd.take.spawn(number);
    if (progress.ids.size < rememberedIds) progress.ids.add(call.id);
    const answer = await call.get({ timeoutMs: endsWithinMs });
    if (answer.number !== number) throw new Error(`call ${number} was answered with ${answer.number}`);
    progress.pids.add(answer.pid);
    progress.fetched += 1;
  }
}

async function reached(progress: Progress, count: number): Promise<void> {
  while (progress.fetched < count && !progress.isBroken) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Where its containers are, its own worker first. */
async function placesOf(crowd: Crowd): Promise<string[]> {
  const { info, pool } = await crowd.explain();
  const others = pool?.containers.flatMap(({ workerId }) => (workerId === null ? [] : [workerId])) ?? [];
  return [...(info.workerId === null ? [] : [info.workerId]), ...others.filter((id) => id !== info.workerId)];
}

async function leave(world: World, client: Client, crowd: Crowd): Promise<void> {
  await crowd.close();
  world.clients.splice(world.clients.indexOf(client), 1);
  await client.close();
}
