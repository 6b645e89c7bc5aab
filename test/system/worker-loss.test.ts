import { App, isHoldfastError } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runLedgerClient } from './client-process.js';

type LedgerApp = typeof import('../fixtures/ledger-app.js');

/** A call that is sent before its client knows of the loss may have run (C6); the next one knows where it goes. */
async function onceKnown<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (e) {
    if (isHoldfastError(e, 'OutcomeUnknown')) return await call();
    throw e;
  }
}

describe('a worker that is lost or drained under load', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'real', routers: 2, workers: 3 });
    await cluster.deploy(new URL('../fixtures/ledger-app.ts', import.meta.url));
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
  }, 60_000);

  it('recreates or loses its instances as they asked, and leaves no call hanging', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const ids = Array.from({ length: 30 }, (_, i) => `kept-${i}`);
    const kept = await Promise.all(ids.map((id) => remote.Ledger.named(id)));
    const fragile = await Promise.all(ids.map((id) => remote.Fragile.named(id)));
    const victim = cluster.workers[0] as (typeof cluster.workers)[number];
    const where = await Promise.all([...kept, ...fragile].map(async (instance) => (await instance.inspect()).workerId));
    const onVictim = where.map((workerId) => workerId === victim.id);
    expect(onVictim.filter(Boolean).length).toBeGreaterThan(0);

    const clients = Array.from({ length: 6 }, (_, i) =>
      runLedgerClient(cluster, { caller: `c${i}`, instances: ids, calls: 200, inFlight: 32 }),
    );
    await Promise.all(kept.map((instance) => instance.append('here', 1)));
    await victim.kill();

    const after = (instance: (typeof kept)[number]) =>
      onceKnown(() => instance.append.with({ timeoutMs: 40_000 })('after', 1));
    const answers = await Promise.all(kept.map(after));
    for (const [i, answer] of answers.entries()) expect(answer.restarted).toBe(onVictim[i]);

    for (const [i, instance] of fragile.entries()) {
      const call = after(instance);
      if (onVictim[ids.length + i]) await expect(call).rejects.toMatchObject({ code: 'InstanceLost' });
      else expect((await call).restarted).toBe(false);
    }

    for (const result of await Promise.all(clients)) {
      const answered = Object.values(result.receipts).reduce((sum, receipts) => sum + receipts.length, 0);
      expect(answered + result.errors.length).toBe(ids.length * 200);
      for (const error of result.errors) expect([error.code, error.outcome]).toEqual(['OutcomeUnknown', 'unknown']);
      for (const receipts of Object.values(result.receipts)) {
        const numbers = receipts.map((receipt) => receipt.number);
        expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
      }
    }
  });

  it('drains without losing one idempotent call', async () => {
    const remote = await App.lookup<LedgerApp>('ledger-test', { client: cluster.client });
    const instances = await Promise.all(Array.from({ length: 20 }, (_, i) => remote.Ledger.named(`drained-${i}`)));
    const drained = cluster.workers.find((worker) => worker.id === 'worker-2') ?? cluster.workers.at(-1);
    let isDraining = true;
    const failures: string[] = [];
    let calls = 0;
    const load = instances.map(async (instance) => {
      while (isDraining) {
        calls++;
        await instance
          .slowTotal(2)
          .catch((e: unknown) => failures.push(isHoldfastError(e) ? `${e.code}: ${e.message}` : String(e)));
      }
    });
    await Promise.all(instances.map((instance) => instance.slowTotal(0)));
    await drained?.kill('SIGTERM');
    await Promise.all(instances.map((instance) => instance.slowTotal(0)));
    isDraining = false;
    await Promise.all(load);
    expect(failures).toEqual([]);
    expect(calls).toBeGreaterThan(instances.length);
    const left = await Promise.all(instances.map(async (instance) => (await instance.inspect()).workerId));
    expect(left).not.toContain(drained?.id);
  });
});
