import { App, Client, isHoldfastError } from 'holdfast';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../runtime/until.js';
import { type CliProcess, type ClusterProcesses, startClusterProcesses } from './cluster-processes.js';

type LedgerApp = typeof import('../fixtures/ledger-app.js');

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'ok',
    (e: unknown) => (isHoldfastError(e) ? e.code : String(e)),
  );
}

/** Its log has one line for each loss and one for each return, however often it has redialled. */
async function saidLossAndReturn(part: CliProcess, server: string): Promise<void> {
  const said = () => part.events.filter((event) => event.startsWith(`${server}.`));
  await until(() => said().at(-1) === `${server}.back`);
  const pairs = said().length / 2;
  expect(pairs).toBeGreaterThanOrEqual(1);
  expect(said()).toEqual(Array.from({ length: pairs }, () => [`${server}.lost`, `${server}.back`]).flat());
}

describe('parts that go away and come back', () => {
  let cluster: ClusterProcesses;

  beforeAll(async () => {
    cluster = await startClusterProcesses();
    await cluster.deploy(new URL('../fixtures/ledger-app.ts', import.meta.url));
  }, 60_000);

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 60_000);

  it('Redis: calls go on, what needs it waits for it or says so in time, and nothing is lost', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const instance = await remote.Ledger.named('redis');
    expect((await instance.append('c', 1)).count).toBe(1);
    cluster.redis.signal('SIGSTOP');
    expect((await instance.append('c', 2)).count).toBe(2);
    const waiting = remote.Ledger.named('made-after-redis');
    expect((await instance.append('c', 3)).count).toBe(3);
    cluster.redis.signal('SIGCONT');
    expect((await (await waiting).append('c', 1)).count).toBe(1);
    await cluster.redis.stop();
    expect((await instance.append('c', 4)).count).toBe(4);
    await cluster.redis.start();
    expect((await (await remote.Ledger.named('made-later')).append('c', 1)).count).toBe(1);
    expect(await instance.append('c', 5)).toMatchObject({ count: 5, restarted: false });
    for (const part of [cluster.router, cluster.worker]) await saidLossAndReturn(part, 'redis');
  });

  it('NATS: calls go on, and names can be made again once it is back', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const instance = await remote.Ledger.named('nats');
    await instance.append('c', 1);
    await cluster.nats.stop();
    expect((await instance.append('c', 2)).count).toBe(2);
    const waiting = remote.Ledger.named('made-after-nats');
    await cluster.nats.start();
    expect((await (await waiting).append('c', 1)).count).toBe(1);
    for (const part of [cluster.router, cluster.worker]) await saidLossAndReturn(part, 'nats');
  });

  it('router: calls go on, new names fail with the endpoint or wait, and go on when one is back', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const instance = await remote.Ledger.named('router');
    await instance.append('c', 1);
    await cluster.router.kill();
    expect((await instance.append('c', 2)).count).toBe(2);
    const absent = new Client({ endpoint: cluster.router.address, token: 'hft.default.x.y' });
    const lookup = App.lookup('ledger-test', { client: absent });
    await expect(lookup).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(cluster.router.address),
    });
    await absent.close();
    const waiting = remote.Ledger.named('made-after-router');
    await cluster.startRouter(cluster.router.address);
    expect((await (await waiting).append('c', 1)).count).toBe(1);
    expect((await instance.append('c', 3)).count).toBe(3);
  });

  it('one of two routers: names go on at the other, and come back when that one is gone', async () => {
    const first = await cluster.startRouter('127.0.0.1:0');
    const second = await cluster.startRouter('127.0.0.1:0');
    await using client = new Client({ endpoint: `${first.address},${second.address}`, token: cluster.token });
    const remote = await App.lookup<LedgerApp>('ledger-test', { client });
    const instance = await remote.Ledger.named('two-routers');
    expect((await instance.append('c', 1)).count).toBe(1);
    await first.kill();
    expect((await (await remote.Ledger.named('after-the-first')).append('c', 1)).count).toBe(1);
    expect(await client.workers()).toHaveLength(1);
    await second.kill();
    const waiting = remote.Ledger.named('after-both');
    await cluster.startRouter(first.address);
    expect((await (await waiting).append('c', 1)).count).toBe(1);
    expect((await instance.append('c', 2)).count).toBe(2);
    const unused = new Client({ endpoint: `${second.address},${first.address}`, token: cluster.token });
    expect(await unused.workers()).toHaveLength(1);
    await unused.close();
  });

  it('the worker: a drained one is waited for, a call with a deadline is not late', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const instance = await remote.Ledger.named('worker');
    await instance.append('c', 1);
    await cluster.worker.kill('SIGTERM');
    expect(['DeadlineExceeded', 'NoCapacity']).toContain(
      await codeOf(instance.append.with({ timeoutMs: 1_000 })('c', 2)),
    );
  });
});
