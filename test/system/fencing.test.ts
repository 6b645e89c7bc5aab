import { readFileSync } from 'node:fs';
import { App } from 'holdfast';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClusterProcesses, startClusterProcesses } from './cluster-processes.js';

type TokenApp = typeof import('../fixtures/token-app.js');

/** A killed process stays a zombie while its parent is stopped: no code of it runs. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false; // gone
  }
}

describe('a worker that cannot renew its lease', () => {
  let cluster: ClusterProcesses;

  beforeAll(async () => {
    cluster = await startClusterProcesses({ leaseTtlMs: 3_000 });
    await cluster.deploy(new URL('../fixtures/token-app.ts', import.meta.url));
  }, 60_000);

  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 60_000);

  it('finds its containers dead and its instances elsewhere when it was stopped for longer than the lease', async () => {
    const remote = await App.lookup<TokenApp>('token-test', { client: cluster.client });
    const holder = await remote.Holder.named('paused');
    const before = await holder.where();
    const stale = holder.block(60_000).then(
      () => 'answered',
      (e: { code: string }) => e.code,
    );
    while ((await holder.inspect()).running === 0);
    await cluster.startWorker('second');
    cluster.worker.signal('SIGSTOP');
    const after = await (await remote.Holder.named('paused')).where.with({ timeoutMs: 30_000 })();
    expect(after.restarted).toBe(true);
    expect(after.epoch).toBeGreaterThan(before.epoch);
    // S8: the successor started, so nothing of the first activation can run any more.
    expect(isRunning(before.pid)).toBe(false);
    cluster.worker.signal('SIGCONT');
    expect(await stale).toBe('OutcomeUnknown');
    expect((await holder.where()).epoch).toBe(after.epoch);
  });

  it('takes placements again, as another boot', async () => {
    const remote = await App.lookup<TokenApp>('token-test', { client: cluster.client });
    let workers = await cluster.client.workers();
    while (!workers.some((worker) => worker.id === 'first' && worker.state === 'ready'))
      workers = await cluster.client.workers();
    const holders = await Promise.all(Array.from({ length: 8 }, (_, i) => remote.Holder.named(`again-${i}`)));
    await Promise.all(holders.map((holder) => holder.where()));
    const where = await Promise.all(holders.map(async (holder) => (await holder.inspect()).workerId));
    expect(new Set(where)).toEqual(new Set(['first', 'second']));
  });
});
