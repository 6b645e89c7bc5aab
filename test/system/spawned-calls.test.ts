import { App, Client, FunctionCall } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startClusterProcesses } from './cluster-processes.js';

type SpawnedApp = typeof import('../fixtures/spawned-app.js');

describe.each(['real', 'embedded'] as const)('spawned calls in a cluster of mode %s', (mode) => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ mode, ...(mode === 'real' ? { routers: 2, workers: 3 } : {}) });
    await cluster.deploy(new URL('../fixtures/spawned-app.ts', import.meta.url));
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  }, 60_000);

  const jobs = async (id: string) => {
    const app = await App.lookup<SpawnedApp>('spawned-test', { client: cluster.client });
    return await app.Jobs.named(id);
  };
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
  };

  it('R1, R3: is fetched by its id alone, as often as one likes, when its client is long gone', async () => {
    const other = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const app = await App.lookup<SpawnedApp>('spawned-test', { client: other });
    const calls = await Promise.all(
      ['a', 'b', 'c'].map(async (text) => (await app.Jobs.named('first')).add.spawn(text)),
    );
    const ids = calls.map(({ id }) => id);
    await other.close();
    expect(new Set(ids).size).toBe(3);
    for (const [at, id] of ids.entries()) {
      const call = await FunctionCall.fromId<string>(id, { client: cluster.client });
      expect(await call.get()).toBe(['a', 'b', 'c'][at]);
      expect(await call.get({ timeoutMs: 5_000 })).toBe(['a', 'b', 'c'][at]);
      expect(await call.status()).toBe('succeeded');
      expect(await call.cancel()).toBe('already-finished');
    }
    expect(await (await jobs('first')).ran()).toBe(3);
  });

  it('C6: is retried as its class says, and what its code threw is what `get` throws', async () => {
    const instance = await jobs('failing');
    expect(await (await instance.fail.spawn('once')).get()).toBe(2);
    const always = await instance.fail.spawn('always');
    await expect(always.get()).rejects.toMatchObject({ code: 'UserError', cause: { message: 'attempt 3' } });
    expect(await always.status()).toBe('failed');
    const never = await instance.fail.spawn('never again');
    await expect(never.get()).rejects.toMatchObject({ cause: { name: 'TypeError', message: 'attempt 1' } });
  });

  it('C1, C2: waits in its place, counts as waiting, and is cancelled there or where it runs', async () => {
    const instance = await jobs('queue');
    const running = await instance.wait.spawn();
    await until(async () => (await running.status()) === 'running');
    const waiting = await Promise.all(Array.from({ length: 8 }, () => instance.add.spawn('x')));
    await expect(instance.add.spawn('y')).rejects.toMatchObject({ code: 'PendingLimitExceeded', outcome: 'not-run' });
    const [first] = waiting;
    expect(await first?.status()).toBe('queued');
    await expect(first?.get({ timeoutMs: 1 })).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    expect((await first?.explain())?.waitsFor).toContain('1 calls run, 8 wait');
    expect(await first?.cancel()).toBe('never-ran');
    await expect(first?.get()).rejects.toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    expect(await running.cancel()).toBe('aborted');
    expect(await running.status()).toBe('cancelled');
    expect(await Promise.all(waiting.slice(1).map((call) => call.get()))).toEqual(Array(7).fill('x'));
    expect(await instance.ran()).toBe(7);
    const explained = await running.explain();
    expect(explained).toMatchObject({ status: 'cancelled', method: 'wait', attempt: 1, waitsFor: null });
    expect(explained.instance?.info.id).toBe('queue');
    expect(Object.keys(explained.phasesMs)).toEqual(['queued', 'running']);
  });

  it('R1: the same idempotency key spawns one call, and finds it again', async () => {
    const instance = await jobs('keyed');
    const keyed = instance.add.with({ idempotencyKey: 'order-7' });
    const calls = await Promise.all([keyed.spawn('a'), keyed.spawn('a'), keyed.spawn('a')]);
    expect(new Set(calls.map(({ id }) => id)).size).toBe(1);
    expect(await calls[0]?.get()).toBe('a');
    expect((await keyed.spawn('a')).id).toBe(calls[0]?.id);
    expect(await instance.ran()).toBe(1);
  });

  it('R5: what is too large is refused, and what cannot be spawned says so', async () => {
    const instance = await jobs('large');
    const text = 'x'.repeat(900_000);
    expect(await (await instance.add.spawn(text)).get()).toBe(text);
    await expect(instance.add.spawn('x'.repeat(1_100_000))).rejects.toMatchObject({ code: 'PayloadTooLarge' });
    const large = await instance.large.spawn(2_000_000);
    await expect(large.get()).rejects.toMatchObject({ code: 'PayloadTooLarge', outcome: 'ran' });
    expect(await instance.ran()).toBe(1);
    const { client } = cluster;
    await expect(FunctionCall.fromId('nonsense', { client })).rejects.toMatchObject({ code: 'InvalidArgument' });
    const unknown = `${large.id.slice(0, -8)}aaaaaaaa`;
    await expect(FunctionCall.fromId(unknown, { client })).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('C12: instances spawn at each other, and fetch by id', async () => {
    const id = await (await jobs('one')).delegate('two', 'from one');
    expect(await (await jobs('three')).fetch(id)).toBe('from one');
  });

  it('C9: those that wait at a close have failed, and their results outlive their instance', async () => {
    const instance = await jobs('closing');
    const done = await instance.add.spawn('kept');
    await done.get();
    const running = await instance.wait.spawn();
    const waiting = await instance.add.spawn('never');
    await instance.close({ force: true });
    await expect(waiting.get()).rejects.toMatchObject({ code: 'InstanceClosed', outcome: 'not-run' });
    await expect(running.get()).rejects.toMatchObject({ code: 'InstanceClosed', outcome: 'ran' });
    expect(await done.get()).toBe('kept');
    expect((await done.explain()).instance?.info.state).toBe('closed');
  });

  it.runIf(mode === 'real')(
    'R4: survive kill -9 of their worker: what waited runs, what ran is lost, or runs again',
    async () => {
      const orphan = await jobs('orphan');
      const twin = await jobs('idempotent');
      const [lost, again] = await Promise.all([orphan.wait.spawn(), twin.again.spawn()]);
      const waiting = await orphan.add.spawn('still');
      const behind = await twin.add.spawn('behind');
      await until(async () => (await orphan.state('waits')) === 1 && (await twin.state('again')) === 1);
      const homes = new Set(await Promise.all([orphan, twin].map(async (each) => (await each.inspect()).workerId)));
      await Promise.all(cluster.workers.filter(({ id }) => homes.has(id)).map((worker) => worker.kill('SIGKILL')));
      expect(await Promise.all([again.get(), waiting.get(), behind.get()])).toEqual([2, 'still', 'behind']);
      await expect(lost.get()).rejects.toMatchObject({ code: 'OutcomeUnknown', outcome: 'unknown' });
      expect(await lost.status()).toBe('lost');
      expect(await orphan.state('waits')).toBe(1);
      expect(await orphan.ran()).toBe(1);
      expect((await again.explain()).losses).toBe(1);
    },
  );
});

describe('spawned calls without a router', () => {
  it('R4: go on when the router and their client are dead, and are fetched from a new router', async () => {
    await using cluster = await startClusterProcesses();
    await cluster.deploy(new URL('../fixtures/spawned-app.ts', import.meta.url));
    const client = new Client({ endpoint: cluster.router.address, token: cluster.token });
    const app = await App.lookup<SpawnedApp>('spawned-test', { client });
    const instance = await app.Jobs.named('alone');
    const call = await instance.sleep.spawn(300);
    const next = await instance.add.spawn('then');
    await client.close();
    await cluster.router.kill();
    await cluster.startRouter(cluster.router.address);
    const found = await FunctionCall.fromId(next.id, { client: cluster.client });
    expect(await found.get()).toBe('then');
    expect(await (await FunctionCall.fromId(call.id, { client: cluster.client })).get()).toBe(300);
  });
});
