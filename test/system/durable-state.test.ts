import { App, isHoldfastError } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type KeeperApp = typeof import('../fixtures/keeper-app.js');

describe.each(['real', 'embedded'] as const)('durable state in a cluster of mode %s', (mode) => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ mode, ...(mode === 'real' ? { workers: 2 } : {}) });
    await cluster.deploy(new URL('../fixtures/keeper-app.ts', import.meta.url));
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  }, 60_000);

  const keeper = async (id: string) => {
    const app = await App.lookup<KeeperApp>('keeper-test', { client: cluster.client });
    return app.Keeper.named(id);
  };

  it('D5: outlives sleep and is gone with the close', async () => {
    const instance = await keeper('sleeper');
    await instance.put('a', { when: new Date(0), bytes: Uint8Array.of(1, 2) });
    const { epoch } = await instance.inspect();
    while ((await instance.inspect()).state !== 'idle');
    expect(await instance.get('a')).toEqual({ when: new Date(0), bytes: Uint8Array.of(1, 2) });
    expect((await instance.inspect()).epoch).toBeGreaterThan(epoch);
    await instance.close();
    expect(await (await keeper('sleeper')).list({})).toEqual(new Map());
  });

  it('lists in the order of keys, and makes a batch at once', async () => {
    const instance = await keeper('lister');
    await instance.batch({ put: { 'b:2': 2, 'b:1': 1, c: 3 }, delete: ['never'] });
    expect([...(await instance.list({ prefix: 'b:' }))]).toEqual([
      ['b:1', 1],
      ['b:2', 2],
    ]);
    expect([...(await instance.list({ reverse: true, limit: 2 })).keys()]).toEqual(['c', 'b:2']);
    await expect(instance.put('', 1)).rejects.toMatchObject({ cause: { code: 'InvalidArgument' } });
    await expect(instance.put('a', 'x'.repeat(131_072))).rejects.toMatchObject({ cause: { code: 'PayloadTooLarge' } });
  });

  it('D3: is there after the container was killed, with all that was answered', async () => {
    const instance = await keeper('victim');
    for (let n = 1; n <= 20; n += 1) expect(await instance.count()).toBe(n);
    await expect(instance.crash()).rejects.toMatchObject({ code: 'OutcomeUnknown' });
    expect(await instance.count()).toBe(21);
  });

  it.runIf(mode === 'real')('D1, D3: is there after kill -9 of its worker, under load', async () => {
    const instances = await Promise.all(Array.from({ length: 8 }, (_, i) => keeper(`counter-${i}`)));
    const home = (await instances[0]?.inspect())?.workerId;
    const answered = instances.map(() => 0);
    let isOver = false;
    const load = instances.map(async (instance, i) => {
      while (!isOver) {
        try {
          const count = await instance.count();
          // Of calls one after the other none may be lower than what was answered before it.
          expect(count).toBeGreaterThan(answered[i] ?? 0);
          answered[i] = count;
        } catch (error) {
          if (!isHoldfastError(error, 'OutcomeUnknown')) throw error;
        }
      }
    });
    while (answered.some((count) => count < 20)) await new Promise((resolve) => setImmediate(resolve));
    await cluster.workers.find(({ id }) => id === home)?.kill('SIGKILL');
    const before = [...answered];
    while (answered.some((count, i) => count < (before[i] ?? 0) + 20))
      await new Promise((resolve) => setImmediate(resolve));
    isOver = true;
    await Promise.all(load);
    const moved = await Promise.all(instances.map((instance) => instance.inspect()));
    expect(moved.some(({ restarts }) => restarts > 0)).toBe(true);
  });
});
