import { describe, expect, test } from 'vitest';
import { App, Cls, HoldfastError } from '../../src/sdk/index.js';
import type { Model } from './scripted-app.js';
import { cluster, errorReply, model, outcome, worker } from './scripted-model.js';

describe('the control stream', () => {
  test('puts what is asked in one turn into one message', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    await cls.named('warm');
    const before = cluster.batches.length;
    await Promise.all(Array.from({ length: 100 }, (_, i) => cls.named(`n${i}`)));
    expect(cluster.batches.length - before).toBeLessThanOrEqual(3);
  });

  test('asks again on the next stream when one breaks', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    let asked = 0;
    cluster.onControl = () => {
      asked += 1;
      if (asked > 1) return null;
      setImmediate(() => cluster.cutRouter());
      return 'silence';
    };
    expect((await cls.named('x')).id).toBe('x');
    expect(asked).toBe(2);
  });

  test('passes on what the router refuses', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    cluster.onControl = () => errorReply('InstanceConflict');
    expect(await outcome(cls.named('x', 'other'))).toBe('InstanceConflict not-run');
  });
});

describe('instances of a class', () => {
  test('are joined without arguments, made with them, shared by them, or fresh', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    await cls.named('a');
    await cls.named('a', 'p');
    const [one, same, other] = [await cls.bind('p', 2), await cls.remote('p', 2), await cls.bind('q')];
    const fresh = await cls.new('p');
    expect(one.id).toMatch(/^bind-[0-9a-f]{64}$/);
    expect(same.id).toBe(one.id);
    expect(other.id).not.toBe(one.id);
    expect(fresh.id).toBe('fresh');
    const created = cluster.ops.map((op) => (op.$case === 'create' ? op.value : null));
    expect(created.map((op) => [op?.id, op?.args === undefined, op?.sharedByArgs])).toEqual([
      ['a', true, false],
      ['a', false, false],
      [one.id, false, true],
      [one.id, false, true],
      [other.id, false, true],
      ['', false, false],
    ]);
  });

  test('that are fresh are closed where nobody can be told of them', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    const lookUp = cluster.onUnary;
    cluster.onUnary = (method) => {
      throw new HoldfastError('PermissionDenied', `${method} is refused`);
    };
    cluster.onControl = ({ op }) =>
      op?.$case === 'create' ? { $case: 'pin', value: { ...cluster.pin(op), deployment: 7 } } : null;
    expect(await outcome(cls.named('kept'))).toContain('PermissionDenied');
    expect(await outcome(cls.with({ timeoutMs: 60_000 }).new('p'))).toContain('PermissionDenied');
    cluster.onUnary = lookUp;
    await expect.poll(() => cluster.ops.map(({ $case }) => $case)).toEqual(['create', 'create', 'close']);
    expect(cluster.ops.at(-1)).toMatchObject({ value: { target: { value: { id: 'fresh' } }, force: true } });
  });

  test('of a list of none are not asked for', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    const before = cluster.unaryCalls.length;
    for await (const _ of cls.list({ limit: 0 })) throw new Error('there is one');
    expect(cluster.unaryCalls).toHaveLength(before);
  });

  test('are refused with arguments that do not fit, after a look at what is deployed now', async () => {
    const cls = await Cls.fromName('scripted', 'Model', { client: cluster.client });
    const before = cluster.unaryCalls.length;
    const error = await cls.new('p', 1, 'too many').catch((e: Error) => e);
    expect(error).toMatchObject({ code: 'InvalidArgument' });
    expect((error as Error).message).toContain("'Model' takes 2 arguments (prefix, _scale), got 3");
    expect(cluster.unaryCalls.length - before).toBe(1);
    for (const id of ['', 'x'.repeat(513), 'a\nb', 5 as never]) {
      expect(await outcome(cls.named(id))).toBe('InvalidArgument not-run');
    }
  });

  test('share one order of calls however often they are looked up', async () => {
    const [one, two] = [await model(), await model()];
    worker.onCall = () => undefined;
    const calls = [one.infer(1), two.infer(2), one.infer(3)];
    await worker.received(3);
    expect(worker.calls.map((call) => call.args[0])).toEqual([1, 2, 3]);
    expect(worker.bindings.size).toBe(1);
    for (const call of worker.calls) call.result(0);
    await Promise.all(calls);
  });

  test('close by control and by disposing what is owned, and only that', async () => {
    const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
    {
      await using named = await cls.named('kept');
      await using fresh = await cls.new();
      expect(named.closed || fresh.closed).toBe(false);
    }
    expect(cluster.ops.filter((op) => op.$case === 'close')).toHaveLength(1);
    const instance = await cls.named('c');
    expect(await instance.close()).toEqual({ closed: true, alreadyClosed: false, exitHook: 'ran' });
    expect(instance.closed).toBe(true);
    expect(await outcome(instance.infer(1))).toBe('InstanceGone not-run');
  });

  test('come back from a handle or its JSON, of their own class only', async () => {
    const instance = await model();
    const cls = instance.cls;
    expect((await cls.attach(instance.handleJson)).id).toBe('m');
    const again = await Cls.fromHandle<typeof Model>(instance.handle, { client: cluster.client });
    expect(await again.infer(1)).toMatchObject({ args: [1] });
    expect(await outcome(cls.attach({ ...instance.handle, name: 'Retried' }))).toBe('InvalidArgument not-run');
    expect(await outcome(cls.attach('{'))).toBe('InvalidArgument not-run');
    expect(await outcome(cls.attach({ ...instance.handle, v: 2 } as never))).toBe('InvalidArgument not-run');
  });

  test('are found through their app, typed by its module', async () => {
    const app = await App.lookup<typeof import('./scripted-app.js')>('scripted', { client: cluster.client });
    expect(app.appName).toBe('scripted');
    const bound = app.Model.partial('p');
    expect(bound.initArgs).toEqual(['p']);
    expect(await (await bound.new(2)).infer(1)).toMatchObject({ method: 'infer' });
    expect(app.cls('Retried').remoteOnly).toBe(true);
    expect(() => app.cls('Nope')).toThrow("app 'scripted' has no class 'Nope'");
    expect(await outcome(Cls.fromName('scripted', 'Nope', { client: cluster.client }))).toBe('NotFound not-run');
  });
});
