import { App, Cls, type HoldfastError, isHoldfastError } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Batching } from '../fixtures/function-app.js';

let cluster: TestCluster;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded' });
  await cluster.deploy(new URL('../fixtures/function-app.ts', import.meta.url));
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

describe.each(['on a worker', 'in this process'])('a method that gathers its calls, %s', (where) => {
  const instanceOf = async () => {
    if (where === 'in this process') return await Cls.of(Batching).local();
    const remote = await App.lookup<typeof import('../fixtures/function-app.js')>('functions', {
      client: cluster.client,
    });
    return await remote.Batching.new();
  };

  it('is called with arrays by callers of single values', async () => {
    await using instance = await instanceOf();
    const answers = await Promise.all([1, 2, 3, 4, 5, 6].map((input) => instance.double(input)));
    expect(answers.map(({ doubled }) => doubled)).toEqual([2, 4, 6, 8, 10, 12]);
    expect(answers.map(({ size }) => size)).toEqual([4, 4, 4, 4, 2, 2]);
    expect(await instance.plain()).toBe('plain');
  });

  it('fails for all of a batch, and tells what is wrong with its answer', async () => {
    await using instance = await instanceOf();
    const failed = await Promise.all([12, 13].map((input) => errorOf(instance.double(input))));
    for (const error of failed) expect(error).toMatchObject({ code: 'UserError', cause: { name: 'RangeError' } });
    const wrong = await Promise.all([14, 15].map((input) => errorOf(instance.double(input))));
    for (const error of wrong) {
      expect(error).toMatchObject({ code: 'InvalidArgument', outcome: 'ran', details: { wanted: 2, got: 0 } });
    }
  });

  it('goes on without those that were cancelled', async () => {
    await using instance = await instanceOf();
    const stop = new AbortController();
    const cancelled = errorOf(instance.double.with({ signal: stop.signal })(1));
    const late = errorOf(instance.double.with({ timeoutMs: 1 })(2));
    const kept = instance.double(3);
    stop.abort();
    expect((await cancelled).code).toBe('Cancelled');
    expect((await late).code).toBe('DeadlineExceeded');
    expect((await kept).doubled).toBe(6);
  });
});
