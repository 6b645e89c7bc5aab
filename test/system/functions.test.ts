import { App, Cls, FunctionCall, type HoldfastError, isHoldfastError, type RemoteApp, Secret } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Home } from '../cli/holdfast.js';

type Functions = typeof import('../fixtures/function-app.js');

let cluster: TestCluster;
let remote: RemoteApp<Functions>;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded' });
  await Secret.create('FUNCTION_TOKEN', 'opened', { client: cluster.client });
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

async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const value of values) taken.push(value);
  return taken;
}

describe('a function', () => {
  it('is explained once it was called', async () => {
    expect(await errorOf(remote.square.explain())).toMatchObject({
      code: 'NotFound',
      message: 'function functions/square has not been called as deployment 1: call it once, then explain it',
    });
    const wrong = { deep: true } as never;
    expect((await errorOf(remote.square.explain(wrong))).message).toContain('explain of function functions/square');
    await remote.square(1);
    const { info } = await remote.square.explain({ timeoutMs: 60_000 });
    expect(info).toMatchObject({ app: 'functions', name: 'square' });
  });

  it('is called in every form, by its export and by name', async () => {
    expect(await remote.square(7)).toBe(49);
    expect(await remote.square.remote(8)).toBe(64);
    expect(remote.square.functionName).toBe('square');
    expect(await remote.function<(x: number) => number>('square')(9)).toBe(81);
    expect(await all(remote.count(3))).toEqual([1, 2, 3]);
    expect(await all(remote.count.remoteGen(2))).toEqual([1, 2]);
  });

  it('has the name that it was given, and knows it where it runs', async () => {
    expect(remote.whoAmI.functionName).toBe('who-am-i');
    expect(await remote.whoAmI('hello', 'ada')).toMatchObject({
      greeting: 'hello ada',
      appName: 'functions',
      className: 'who-am-i',
      attempt: 1,
    });
    expect(await remote.whoAmI('hi')).toMatchObject({ greeting: 'hi nobody' });
  });

  it('calls others from its container, and is called by instances', async () => {
    expect(await remote.sumOfSquares([1, 2, 3])).toBe(14);
    expect(await (await remote.Caller.named('one')).squared(5)).toBe(25);
  });

  it('has the secrets, retries and limits of its options', async () => {
    expect(await remote.secretive()).toBe('opened');
    expect(await remote.flaky()).toBe(3);
    const calls = await Promise.allSettled(Array.from({ length: 20 }, () => remote.concurrent(200)));
    const refused = calls.filter(({ status }) => status === 'rejected');
    expect(refused.length).toBe(8);
    for (const { reason } of refused as PromiseRejectedResult[]) expect(reason.code).toBe('PendingLimitExceeded');
  });

  it('is spawned, and its result fetched later by its id', async () => {
    const call = await remote.square.spawn(11);
    expect(await (await FunctionCall.fromId<number>(call.id, { client: cluster.client })).get()).toBe(121);
    const pooled = await Promise.all(Array.from({ length: 6 }, () => remote.pooled.spawn(20)));
    expect((await Promise.all(pooled.map((each) => each.get()))).length).toBe(6);
    expect((await errorOf((remote.count.spawn as (upTo: number) => Promise<unknown>)(3))).code).toBe('InvalidArgument');
  });

  it('runs in this process with local', async () => {
    const { square, count, whoAmI } = await import('../fixtures/function-app.js');
    // Its source tells how it is exported.
    expect([square.functionName, count.functionName, whoAmI.functionName]).toEqual(['square', 'count', 'who-am-i']);
    expect(await square.local(3)).toBe(9);
    expect(await all(count.local(2))).toEqual([1, 2]);
    expect(whoAmI.local('hi')).toMatchObject({ className: 'who-am-i', pid: process.pid });
    await expect(async () => remote.square.local(3)).rejects.toMatchObject({ code: 'InvalidArgument' });
  });

  it('is called from a command line, and made again where its instance was closed', async () => {
    await using home = new Home();
    const env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
    const printed = async (...args: string[]) => (await home.run(args, { env })).stdout.trim();
    expect(await remote.square(2)).toBe(4);
    const listed = JSON.parse(await printed('ps', 'functions/square', '--json')) as readonly { readonly id: string }[];
    expect(listed.length).toBe(1);
    for (const { id } of listed) expect(await printed('close', 'functions/square', id)).toContain('closed');
    expect(await remote.square(3)).toBe(9);
    expect(await printed('call', 'functions/square', '[12]')).toBe('144');
    expect(await printed('call', 'functions.who-am-i', '["hi"]', '--json')).toContain('"greeting":"hi nobody"');
    expect(await printed('call', 'functions/count', '[2]')).toBe('1\n2');
    expect(await home.run(['call', 'functions/nothing'], { env })).toMatchObject({
      exitCode: expect.any(Number),
      stdout: '',
    });
    expect((await home.run(['call', 'functions/square'], { env })).stderr).toContain('give \'["x"]\'');
  });

  it('tells its caller what is wrong with a call', async () => {
    expect((await errorOf(remote.count.remote(1) as Promise<unknown>)).message).toContain('remoteGen');
    expect((await errorOf(all(remote.square.remoteGen(1) as AsyncIterable<number>))).code).toBe('InvalidArgument');
    const unknown = await errorOf((async () => remote.function('nothing'))());
    expect(unknown.code).toBe('NotFound');
    expect(unknown.message).toContain('square');
    expect((await errorOf(remote.fails(3))).code).toBe('UserError');
    expect((await errorOf(remote.square((() => 1) as unknown as number))).code).toBe('NotSerializable');
    expect((await errorOf(Cls.fromName('functions', 'square', { client: cluster.client }))).message).toContain(
      'it is a function',
    );
  });
});

describe('the map of a function', () => {
  it('gives results in the order of inputs, or as they come', async () => {
    const inputs = [30, 1, 20, 1];
    expect(await all(remote.concurrent.map(inputs))).toEqual(inputs);
    const asTheyCome = await all(remote.concurrent.map(inputs, { ordered: false }));
    expect(asTheyCome.toSorted()).toEqual(inputs.toSorted());
    expect(await all(remote.whoAmI.starmap([['a', 'b'], ['c']]))).toMatchObject([
      { greeting: 'a b' },
      { greeting: 'c nobody' },
    ]);
  });

  it('reads inputs as results are read, and holds few of many', async () => {
    let taken = 0;
    let ahead = 0;
    let read = 0;
    async function* inputs(): AsyncGenerator<number> {
      for (; taken < 5_000; taken += 1) {
        ahead = Math.max(ahead, taken - read);
        yield taken;
      }
    }
    const results = remote.concurrent.map(
      (async function* () {
        for await (const _ of inputs()) yield 0;
      })(),
    );
    expect(taken).toBe(0);
    for await (const _ of results) read += 1;
    expect(read).toBe(5_000);
    expect(ahead).toBeLessThanOrEqual(16);
  });

  it('ends with the first error, or gives errors as values', async () => {
    const seen: number[] = [];
    const error = await errorOf(
      (async () => {
        for await (const value of remote.fails.map([1, 2, 3, 4])) seen.push(value);
      })(),
    );
    expect(seen).toEqual([1, 2]);
    expect(error).toMatchObject({ code: 'UserError', cause: { name: 'RangeError' } });
    const values = await all(remote.fails.map([2, 3, 4], { returnExceptions: true }));
    expect(values).toMatchObject([2, { code: 'UserError' }, 4]);
  });

  it('cancels what runs and closes its inputs when the reader leaves', async () => {
    let isClosed = false;
    function* inputs(): Generator<number> {
      try {
        for (let input = 0; ; input += 1) yield input;
      } finally {
        isClosed = true;
      }
    }
    for await (const value of remote.square.map(inputs())) if (value === 16) break;
    expect(isClosed).toBe(true);
    const iterator = remote.hangs.map([1, 2, 3])[Symbol.asyncIterator]();
    const first = iterator.next();
    expect(await iterator.return?.()).toEqual({ done: true, value: undefined });
    expect(await first).toEqual({ done: true, value: undefined });
    // The slots are free again.
    const again = await Promise.allSettled(Array.from({ length: 3 }, (_, input) => remote.concurrent(input)));
    expect(again.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
  });

  it('refuses what it cannot iterate, and passes on what inputs throw', async () => {
    expect((await errorOf(all(remote.square.map(7 as unknown as number[])))).code).toBe('InvalidArgument');
    function* broken(): Generator<number> {
      yield 2;
      throw new RangeError('no more');
    }
    const seen: number[] = [];
    await expect(
      (async () => {
        for await (const value of remote.square.map(broken())) seen.push(value);
      })(),
    ).rejects.toThrow('no more');
    expect(seen).toEqual([4]);
    expect(() => remote.square.map([], { orderd: true } as object)).toThrow("no option 'orderd'");
    expect((await errorOf(all(remote.square.starmap([1 as unknown as [number]])))).code).toBe('InvalidArgument');
  });
});
