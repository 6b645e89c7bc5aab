import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { App, Client } from 'holdfast';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.js';

type LedgerApp = typeof import('../fixtures/ledger-app.js');

describe('a Redis that is restored from an old file', () => {
  let cluster: ClusterProcesses;

  beforeAll(async () => {
    cluster = await startClusterProcesses({ leaseTtlMs: 6_000 });
    await cluster.deploy(new URL('../fixtures/ledger-app.ts', import.meta.url));
  }, 60_000);

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 60_000);

  it('S10: what runs is told to it, nothing of that is started a second time, and new names wait', async () => {
    const { redis } = cluster;
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const known = await remote.Ledger.named('known');
    await known.append('c', 1);
    const [data, old] = ['appendonlydir', 'old'].map((name) => join(redis.folder, name)) as [string, string];
    await cp(data, old, { recursive: true });
    // Forgotten: an instance as a whole, a close, and a worker with what it has.
    const forgotten = await remote.Ledger.named('forgotten');
    const before = await forgotten.append('c', 1);
    await known.close();
    await cluster.startWorker('second');
    while ((await cluster.client.workers()).filter(({ state }) => state === 'ready').length < 2);
    const spread = await Promise.all(Array.from({ length: 60 }, (_, i) => remote.Ledger.named(`spread-${i}`)));
    const spreadBefore = await Promise.all(spread.map((instance) => instance.append('c', 1)));
    const homes = await Promise.all(spread.map(async (instance) => (await instance.inspect()).workerId));
    expect(new Set(homes)).toEqual(new Set(['first', 'second']));

    await redis.stop();
    await rm(data, { recursive: true });
    await cp(old, data, { recursive: true });
    await redis.start();

    await using stranger = new Client({ endpoint: cluster.router.address, token: cluster.token });
    const anew = await App.lookup<LedgerApp>('ledger-test', { client: stranger });
    const soon = await anew.Ledger.named('after');
    expect((await soon.append('c', 1)).count).toBe(1);
    const found = await anew.Ledger.named('forgotten');
    expect(await found.append('c', 2)).toMatchObject({ count: 2, previous: 1, epoch: before.epoch, restarted: false });
    for (const [i, { epoch }] of spreadBefore.entries()) {
      const again = await anew.Ledger.named(`spread-${i}`);
      expect(await again.append('c', 2)).toMatchObject({ count: 2, epoch, restarted: false });
    }
    // It was closed, which nobody knows any more: its name is known again, and it is started anew.
    expect((await (await anew.Ledger.named('known')).append('c', 2)).count).toBe(1);
  });
});
