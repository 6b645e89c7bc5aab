import { transform } from 'esbuild';
import { App, isHoldfastError } from 'holdfast';
import { startCluster } from 'holdfast/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { awaitEnd, descendantsOf, type ProcessMark } from '../../src/cli/testing/process-tree.js';
import { type PrivateFolder, privateTemporaryFolder } from './private-folder.js';

const module = new URL('./counter-app.ts', import.meta.url);
type Counter = typeof import('./counter-app.js');

let folder: PrivateFolder;
let before: Set<number>;

// Deploying bundles, and the bundler keeps a process for as long as this one lives: it is no part of a cluster.
beforeAll(() => transform(''));

beforeEach(() => {
  folder = privateTemporaryFolder();
  before = new Set(descendantsOf(process.pid).map((mark) => mark.pid));
});

afterEach(() => {
  folder[Symbol.dispose]();
});

/** All that this test has started and that runs now. */
function started(): ProcessMark[] {
  return descendantsOf(process.pid).filter(({ pid }) => !before.has(pid));
}

describe.each(['embedded', 'real'] as const)('a cluster of mode %s', (mode) => {
  test('deploys a module, answers calls, and gives containers its variables', async () => {
    await using cluster = await startCluster({ mode, env: { GREETING: 'hello' } });
    const deployment = await cluster.deploy(module);
    expect(deployment).toMatchObject({ app: 'counter', version: 1 });
    const app = await App.lookup<Counter>('counter', cluster);
    const counter = await app.Counter.named('a', 40);
    expect(await counter.add()).toBe(41);
    expect(await counter.add()).toBe(42);
    expect(await counter.variable('GREETING')).toBe('hello');
  });

  test('places instances on a worker that was added with an offer of its own', async () => {
    await using cluster = await startCluster({ mode, workers: [{ id: 'first', maxContainers: 1 }] });
    const added = await cluster.addWorker({ id: 'second', offer: { rack: 'b7' } });
    expect(added.id).toBe('second');
    expect(cluster.workers.map((worker) => worker.id)).toEqual(['first', 'second']);
    const known = await cluster.client.workers();
    expect(known.find((worker) => worker.id === 'second')?.offer).toMatchObject({ rack: 'b7' });
    await expect(cluster.addWorker({ id: 'second' })).rejects.toThrow("a worker 'second' runs in this cluster");
  });

  test('recreates an instance on another worker when its own is killed', async () => {
    await using cluster = await startCluster({ mode, workers: 2 });
    await cluster.deploy(module);
    const app = await App.lookup<Counter>('counter', cluster);
    const counter = await app.Counter.named('a');
    expect(await counter.add(5)).toBe(5);
    const { workerId: owner } = await counter.inspect();
    await cluster.workers.find((worker) => worker.id === owner)?.kill();
    expect(cluster.workers.map((worker) => worker.id)).not.toContain(owner);
    expect(await counter.add(1)).toBe(1);
    const { workerId, restarts } = await counter.inspect();
    expect(workerId).not.toBe(owner);
    expect(restarts).toBe(1);
  });

  test('leaves no process and no folder behind, also when it is closed twice', async () => {
    await using cluster = await startCluster({ mode, routers: 2, workers: 2 });
    expect(cluster.routers.map((router) => router.id)).toEqual(['router-1', 'router-2']);
    await cluster.deploy(module);
    const app = await App.lookup<Counter>('counter', cluster);
    const counter = await app.Counter.new();
    expect(await counter.add()).toBe(1);
    await cluster.routers[0]?.kill();
    expect(await (await app.Counter.named('at the other router')).add()).toBe(1);
    // Noted now: what a killed worker leaves is no descendant any more.
    const processes = started();
    expect(processes.length).toBeGreaterThan(4);
    const kills = cluster.workers.map((worker) => worker.kill());
    await Promise.all([...kills, cluster.close(), cluster.close()]);
    expect(cluster.workers).toEqual([]);
    expect(await awaitEnd(processes, 0)).toEqual([]);
    expect(folder.clusterFolders()).toEqual([]);
  });

  test('is closed also while a call runs that never ends, and while a worker starts', async () => {
    await using cluster = await startCluster({ mode });
    await cluster.deploy(module);
    const app = await App.lookup<Counter>('counter', cluster);
    const counter = await app.Counter.named('a');
    const values = counter.forever()[Symbol.asyncIterator]();
    expect(await values.next()).toEqual({ done: false, value: 'begun' });
    const call = values.next().catch((e) => e);
    const added = cluster.addWorker().catch((e) => e);
    await cluster.close();
    expect(isHoldfastError(await call, 'Cancelled')).toBe(true);
    expect(isHoldfastError(await added)).toBe(true);
    await expect(cluster.addWorker()).rejects.toThrow('the cluster is closed');
    expect(started()).toEqual([]);
    expect(folder.clusterFolders()).toEqual([]);
  });

  test('cannot be started with a signal that is aborted', async () => {
    const error: unknown = await startCluster({ mode, signal: AbortSignal.abort() }).catch((e) => e);
    expect(isHoldfastError(error, 'Cancelled')).toBe(true);
    expect(started()).toEqual([]);
    expect(folder.clusterFolders()).toEqual([]);
  });
});

test('an embedded worker has no pid and refuses to be paused, naming the mode that can', async () => {
  await using cluster = await startCluster({ mode: 'embedded' });
  const [worker] = cluster.workers;
  expect(worker?.pid).toBeNull();
  expect([cluster.natsUrl, cluster.redisUrl]).toEqual([null, null]);
  expect(() => worker?.pause()).toThrow("start the cluster with mode 'real'");
  expect(() => worker?.resume()).toThrow("start the cluster with mode 'real'");
  await expect(worker?.kill('SIGSTOP')).rejects.toThrow('takes SIGKILL, SIGTERM or SIGINT');
});

test('a real worker drains at SIGTERM: its instances move, and no call fails', async () => {
  await using cluster = await startCluster({ mode: 'real', workers: 2 });
  await cluster.deploy(module);
  const app = await App.lookup<Counter>('counter', cluster);
  const counters = await Promise.all(['a', 'b', 'c'].map((id) => app.Counter.named(id)));
  await Promise.all(counters.map((counter) => counter.add()));
  const [draining] = cluster.workers;
  await draining?.kill('SIGTERM');
  await Promise.all(counters.map((counter) => counter.add()));
  const owners = await Promise.all(counters.map(async (counter) => (await counter.inspect()).workerId));
  expect(owners).not.toContain(draining?.id);
});

test('a real worker that is paused answers again when it is resumed in time', async () => {
  await using cluster = await startCluster({ mode: 'real' });
  await cluster.deploy(module);
  const app = await App.lookup<Counter>('counter', cluster);
  const counter = await app.Counter.named('a');
  expect(await counter.add()).toBe(1);
  const [worker] = cluster.workers;
  for (const signal of ['SIGSTOP', 'SIGWINCH', 'SIGNONE'] as NodeJS.Signals[])
    await expect(worker?.kill(signal)).rejects.toThrow(`got ${signal}, which would not end it`);
  worker?.pause();
  const answer = counter.add();
  worker?.resume();
  expect(await answer).toBe(2);
});

test('a part that cannot start says why, and takes the whole cluster with it', async () => {
  const workers = [{ id: 'fine' }, { id: 'broken', offer: { '': 'a field without a name' } }];
  const error: unknown = await startCluster({ mode: 'real', workers }).catch((e) => e);
  expect(isHoldfastError(error, 'Unavailable')).toBe(true);
  expect(String(error)).toMatch(/worker 'broken' ended before it was ready; it printed:\n.*KEY=VALUE/s);
  expect(started()).toEqual([]);
  expect(folder.clusterFolders()).toEqual([]);
});
