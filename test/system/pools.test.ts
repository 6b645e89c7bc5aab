import { App, type HoldfastError, isHoldfastError, type RemoteApp } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type Functions = typeof import('../fixtures/function-app.js');

let cluster: TestCluster;
let remote: RemoteApp<Functions>;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded' });
  await cluster.deploy(new URL('../fixtures/function-app.ts', import.meta.url));
  remote = await App.lookup<Functions>('functions', { client: cluster.client });
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

/** Resolves once it holds, however slow the machine is. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  await expect.poll(holds, { timeout: 120_000 }).toBe(true);
}

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

const distinct = <T>(values: readonly T[]): number => new Set(values).size;

describe('the pool of a function', () => {
  it('starts containers for calls that wait, up to its limit, and ends those that nobody needs', async () => {
    const before = (await cluster.client.workers())[0]?.containers ?? 0;
    // However long a container takes to come up: as long as there is more to do than there are slots, there will be one more.
    await until(async () => {
      const answers = await Promise.all(times(10, () => remote.pooled(100)));
      for (const { most } of answers) expect(most).toBeLessThanOrEqual(2);
      return distinct(answers.map(({ pid }) => pid)) === 3;
    });
    await until(async () => ((await cluster.client.workers())[0]?.containers ?? 9) <= before);
    expect((await remote.pooled(0)).pid).not.toBe(0);
  });

  it('has exact limits, however many containers there are yet', async () => {
    const calls = await Promise.allSettled(times(13, () => remote.pooled(1_000)));
    const refused = calls.filter((call) => call.status === 'rejected');
    expect(refused.length).toBe(3);
    for (const { reason } of refused)
      expect(reason).toMatchObject({ code: 'PendingLimitExceeded', details: { limit: 4 } });
  });

  it('maps over more inputs than may wait', async () => {
    const pids: number[] = [];
    for await (const { pid } of remote.pooled.map(
      times(40, () => 20),
      { ordered: false },
    ))
      pids.push(pid);
    expect(pids.length).toBe(40);
  });

  it('keeps as many as it shall, and gives them calls', async () => {
    await until(async () => distinct(await Promise.all(times(2, () => remote.warm()))) === 2);
  });

  it('loses a container and nothing else', async () => {
    await Promise.all(times(20, () => remote.mortal('live')));
    expect((await errorOf(remote.mortal('die'))).code).toBe('OutcomeUnknown');
    expect(distinct(await Promise.all(times(50, () => remote.mortal('live'))))).toBeLessThanOrEqual(2);
    const both = await Promise.all(times(2, () => errorOf(remote.mortal('die'))));
    expect(both.map(({ code }) => code)).toEqual(['OutcomeUnknown', 'OutcomeUnknown']);
    expect(await remote.mortal('live')).toBeGreaterThan(0);
  });

  it('lets a function call itself as deep as it has containers', async () => {
    expect(await remote.nested(2)).toBe(2);
    expect((await errorOf(remote.nested(3))).code).toBe('Deadlock');
  });
});

describe('the pool of a class', () => {
  it('is behind bind, not behind named and new', async () => {
    const bound = await remote.Pooled.bind('b');
    await until(async () => distinct(await Promise.all(times(4, () => bound.pid(50)))) === 2);
    const named = await remote.Pooled.named('one', 'n');
    expect(distinct(await Promise.all(times(4, () => named.pid(20))))).toBe(1);
    await using fresh = await remote.Pooled.new('f');
    expect(distinct(await Promise.all(times(4, () => fresh.pid(20))))).toBe(1);
    expect(await bound.reader()).toBe('b');
    const values: number[] = [];
    for await (const value of bound.values(3)) values.push(value);
    expect(values).toEqual([0, 1, 2]);
  });

  it('cancels and times out calls wherever they are', async () => {
    const bound = await remote.Pooled.bind('c');
    const stop = new AbortController();
    const calls = times(4, () => errorOf(bound.untilCancelled.with({ signal: stop.signal })()));
    await until(async () => (await bound.inspect()).running === 2);
    stop.abort();
    expect((await Promise.all(calls)).map(({ code }) => code)).toEqual(times(4, () => 'Cancelled'));
    expect((await errorOf(bound.untilCancelled.with({ timeoutMs: 200 })())).code).toBe('DeadlineExceeded');
    expect(await bound.pid(0)).toContain('c:');
  });

  it('closes with all its containers, and is made anew', async () => {
    const bound = await remote.Pooled.bind('d');
    const calls = Promise.allSettled(times(2, () => bound.pid(3_000)));
    await until(async () => (await bound.inspect()).running > 0);
    expect(await bound.close()).toMatchObject({ closed: true });
    for (const call of await calls) {
      if (call.status === 'rejected') expect(call.reason.code).toBe('InstanceClosed');
    }
    expect(await (await remote.Pooled.bind('d')).pid(0)).toContain('d:');
  });
});
