import { fileURLToPath } from 'node:url';
import {
  App,
  type ClassInstance,
  type HoldfastError,
  isHoldfastError,
  type PoolInfo,
  type RemoteApp,
  Secret,
} from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Home } from '../cli/holdfast.js';
import { isRunning } from '../runtime/process/foreign-process.js';

type SpreadApp = typeof import('../fixtures/spread-app.js');
type Pool = ClassInstance<SpreadApp['Spread']>;

const module = new URL('../fixtures/spread-app.ts', import.meta.url);

let cluster: TestCluster;
let remote: RemoteApp<SpreadApp>;
let pool: Pool;

beforeAll(async () => {
  // Four places, and nowhere three: a pool of three is at two workers at least, beside a function.
  cluster = await startCluster({
    mode: 'real',
    routers: 2,
    workers: [{ maxContainers: 1 }, { maxContainers: 1 }, { maxContainers: 2 }],
  });
  await Secret.set('SPREAD_TOKEN', 'known to all', { client: cluster.client });
  await cluster.deploy(module);
  remote = await App.lookup<SpreadApp>('spread', { client: cluster.client });
  expect(await remote.square(3)).toBe(9);
  pool = await remote.Spread.bind('a');
});

afterAll(async () => {
  await cluster?.close();
});

async function errorOf(call: Promise<unknown>): Promise<HoldfastError> {
  try {
    await call;
  } catch (e) {
    if (isHoldfastError(e)) return e;
    throw e;
  }
  throw new Error('the call was expected to fail');
}

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const distinct = <T>(values: readonly T[]): number => new Set(values).size;

/** Resolves once it holds, however slow the machine is. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds, { timeout: 120_000 }).toBe(true);
}

async function poolNow(): Promise<PoolInfo> {
  const { pool: info } = await pool.explain();
  if (info === undefined) throw new Error('its worker did not describe the pool');
  return info;
}

/** Where its containers are that take calls. */
async function places(): Promise<string[]> {
  const { containers } = await poolNow();
  return containers.flatMap(({ workerId, state }) => (state === 'ready' && workerId !== null ? [workerId] : []));
}

/** Calls until three containers answer; what the last round answered. */
async function spread(of = pool): Promise<{ readonly pid: number; readonly most: number; readonly epoch: number }[]> {
  for (;;) {
    const answers = await Promise.all(times(9, () => of.work(100)));
    if (distinct(answers.map(({ pid }) => pid)) === 3) return answers;
  }
}

/** Kills what runs there; a container that its pool has lost meanwhile is as good as killed. */
function kill(pids: readonly (number | undefined)[]): void {
  for (const pid of pids) if (pid !== undefined && isRunning(pid)) process.kill(pid, 'SIGKILL');
}

async function elsewhere(): Promise<TestCluster['workers'][number]> {
  const home = (await pool.inspect()).workerId;
  const lender = (await places()).find((workerId) => workerId !== home);
  const worker = cluster.workers.find(({ id }) => id === lender);
  if (worker === undefined) throw new Error('no container of the pool is elsewhere');
  return worker;
}

/** Idempotent calls one after another, of which none may fail, until they are ended. */
function steadily(): { end(): Promise<void> } {
  let isOver = false;
  const load = times(4, async () => {
    let calls = 0;
    for (; !isOver; calls += 1) await pool.work(20);
    return calls;
  });
  const counted = Promise.all(load);
  counted.catch(() => undefined); // told at the end
  return {
    end: async () => {
      isOver = true;
      for (const calls of await counted) expect(calls).toBeGreaterThan(0);
    },
  };
}

describe('a pool with more containers than its worker has room for', () => {
  it('has them at other workers, as one instance', async () => {
    const answers = await spread();
    for (const { most } of answers) expect(most).toBe(1);
    expect(distinct(answers.map(({ epoch }) => epoch))).toBe(1);
    const where = await places();
    expect(where.length).toBe(3);
    expect(distinct(where)).toBeGreaterThan(1);
    const home = (await pool.inspect()).workerId;
    expect(where[0]).toBe(home);
    for (const { phasesMs, state } of (await poolNow()).containers) {
      expect(state).toBe('ready');
      expect(Object.keys(phasesMs)).toEqual(expect.arrayContaining(['container', 'enter']));
    }
  });

  it('keeps its limits exact', async () => {
    const calls = await Promise.allSettled(times(50, () => pool.work(200)));
    const refused = calls.filter((call) => call.status === 'rejected');
    expect(refused.length).toBe(7);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'PendingLimitExceeded', details: { limit: 40 } });
  });

  it('has storage, nested calls, long values and generators wherever a call runs', async () => {
    const pids = await Promise.all(times(3, (index) => pool.put(`key-${index}`, 300)));
    expect(distinct(pids)).toBe(3);
    for (const [index, pid] of pids.entries()) expect(await pool.get(`key-${index}`)).toBe(pid);
    const squared = await Promise.all(times(3, (x) => pool.squared(x, 300)));
    expect(squared.map(({ value }) => value)).toEqual([0, 1, 4]);
    expect(distinct(squared.map(({ pid }) => pid))).toBe(3);
    const bytes = new Uint8Array(3_000_000).fill(7);
    const echoed = await Promise.all(times(3, () => pool.echo(bytes, 300)));
    for (const answer of echoed) expect(Buffer.compare(answer.bytes, bytes)).toBe(0);
    expect(distinct(echoed.map(({ pid }) => pid))).toBe(3);
    const streams = await Promise.all(
      times(3, async () => {
        const values: { readonly pid: number; readonly value: number }[] = [];
        for await (const value of pool.count(3, 100)) values.push(value);
        return values;
      }),
    );
    for (const values of streams) expect(values.map(({ value }) => value)).toEqual([1, 2, 3]);
    expect(distinct(streams.map((values) => values[0]?.pid))).toBe(3);
  });

  it('has the secrets of its class wherever a call runs', async () => {
    const told = await Promise.all(times(3, () => pool.token(300)));
    expect(told.map(({ value }) => value)).toEqual(times(3, () => 'known to all'));
    expect(distinct(told.map(({ pid }) => pid))).toBe(3);
  });

  it('borrows by another router when one is lost, and what is lent goes on meanwhile', async () => {
    const before = await spread();
    const load = steadily();
    await cluster.routers[1]?.kill();
    // Of the three at least one is lent: for another one its worker asks a router.
    const [first, second] = new Set(before.map(({ pid }) => pid));
    kill([first, second]);
    const after = await spread();
    await load.end();
    expect(after[0]?.epoch).toBe(before[0]?.epoch);
    expect(after.map(({ pid }) => pid)).not.toContain(first);
    expect(after.map(({ pid }) => pid)).not.toContain(second);
  });

  it('stays on its deployment with what it borrows later, and moves as a whole where it is told to', async () => {
    const before = await spread();
    const { deployment } = await pool.inspect();
    await cluster.deploy(module);
    const [first, second] = new Set(before.map(({ pid }) => pid));
    kill([first, second]);
    const kept = await spread();
    expect(kept[0]?.epoch).toBe(before[0]?.epoch);
    expect((await pool.inspect()).deployment).toBe(deployment);

    const load = steadily();
    await using home = new Home();
    const env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
    const told = await home.run(['deploy', fileURLToPath(module), '--instances', 'restart'], { env });
    expect(told).toMatchObject({ exitCode: 0 });
    await until(async () => (await pool.inspect()).deployment > deployment);
    const moved = await spread();
    await load.end();
    expect(moved[0]?.epoch).toBeGreaterThan(before[0]?.epoch ?? Infinity);
    const old = new Set(kept.map(({ pid }) => pid));
    for (const { pid } of moved) expect(old.has(pid)).toBe(false);
    await until(async () => [...old].every((pid) => !isRunning(pid)));
  });

  it('cancels calls wherever they are, and explains what waits', async () => {
    const stop = new AbortController();
    const calls = times(5, () => errorOf(pool.once.with({ signal: stop.signal })()));
    try {
      await until(async () => {
        const { containers, waitingForSlot } = await poolNow();
        return waitingForSlot === 2 && containers.length === 3 && containers.every(({ running }) => running === 1);
      });
      expect(await poolNow()).toMatchObject({ maxContainers: 3, slots: 3, whyWaiting: 'all 3 slots are held' });
      await using home = new Home();
      const env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
      const { stdout } = await home.run(['inspect', 'spread/Spread', pool.id, '--explain'], { env });
      expect(stdout).toContain('3 of 3 containers, 3 slots');
      expect(stdout).toContain('all 3 slots are held');
    } finally {
      stop.abort();
    }
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(times(5, () => 'Cancelled'));
  });

  it('loses with a worker that dies what that ran, and nothing else, and is whole again elsewhere', async () => {
    const before = await spread();
    const stop = new AbortController();
    const lender = await elsewhere();
    const lost = (await places()).filter((workerId) => workerId === lender.id).length;
    const calls = times(3, () => errorOf(pool.once.with({ signal: stop.signal })()));
    await until(async () => (await poolNow()).containers.every(({ running }) => running === 1));
    await lender.kill();
    const first = await Promise.race(calls);
    expect(first.code).toBe('OutcomeUnknown');
    expect(first.message).toContain(lender.id);
    const idempotent = Promise.all(times(6, () => pool.work(10)));
    if (lost < 3) stop.abort();
    const codes = (await Promise.all(calls)).map(({ code }) => code).toSorted();
    expect(codes).toEqual([...times(3 - lost, () => 'Cancelled'), ...times(lost, () => 'OutcomeUnknown')]);
    await idempotent;
    await cluster.addWorker({ id: 'instead' });
    const after = await spread();
    expect(after[0]?.epoch).toBe(before[0]?.epoch);
    expect(await places()).not.toContain(lender.id);
  });

  it('gives containers back to a worker that drains, and no call fails of that', async () => {
    const lender = await elsewhere();
    const load = steadily();
    await lender.kill('SIGTERM');
    await until(async () => !(await places()).includes(lender.id));
    await load.end();
    await cluster.addWorker({ id: 'drained-instead' });
  });

  it('is made anew where its own worker dies, and nothing of it goes on elsewhere', async () => {
    const before = await spread();
    const home = (await pool.inspect()).workerId;
    const idempotent = Promise.all(times(9, () => pool.work(3_000)));
    await until(async () => (await pool.inspect()).running === 3);
    await cluster.workers.find(({ id }) => id === home)?.kill();
    await cluster.addWorker({ id: 'home-instead' });
    await idempotent;
    const after = await spread();
    expect(after[0]?.epoch).toBeGreaterThan(before[0]?.epoch ?? Infinity);
    const old = new Set(before.map(({ pid }) => pid));
    for (const { pid } of after) expect(old.has(pid)).toBe(false);
    await until(async () => [...old].every((pid) => !isRunning(pid)));
    expect(await pool.get('key-0')).toBeGreaterThan(0);
  });

  it('ends with all its containers, wherever they are', async () => {
    const pids = new Set((await spread()).map(({ pid }) => pid));
    expect(await pool.close()).toMatchObject({ closed: true });
    await until(async () => [...pids].every((pid) => !isRunning(pid)));
    await until(async () => {
      const workers = await cluster.client.workers();
      return workers.reduce((sum, { containers }) => sum + containers, 0) <= 1;
    });
  });

  it('goes on without any router', async () => {
    const other = await remote.Spread.bind('b');
    const before = new Set((await spread(other)).map(({ pid }) => pid));
    for (const router of [...cluster.routers]) await router.kill();
    const after = new Set((await spread(other)).map(({ pid }) => pid));
    expect(after).toEqual(before);
  });
});
