import { App, Cls, type HoldfastError, isHoldfastError, type RemoteApp } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Counter } from '../fixtures/behaviour-app.js';

type Behaviour = typeof import('../fixtures/behaviour-app.js');

let cluster: TestCluster;
let remote: RemoteApp<Behaviour>;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded' });
  await cluster.deploy(new URL('../fixtures/behaviour-app.ts', import.meta.url));
  remote = await App.lookup<Behaviour>('behaviour', { client: cluster.client });
}, 60_000);

afterAll(async () => {
  await cluster?.close();
}, 60_000);

/** The error of a call that must fail. */
async function errorOf(call: Promise<unknown>): Promise<HoldfastError> {
  try {
    await call;
  } catch (e) {
    if (isHoldfastError(e)) return e;
    throw e;
  }
  throw new Error('the call was expected to fail');
}

describe('state and identity', () => {
  it('keeps state between calls and shares it by name', async () => {
    const first = await remote.Counter.named('shared', 10);
    await first.add(1);
    const second = await remote.Counter.named('shared');
    expect(await second.add(1)).toBe(12);
    expect(await second.add.remote(1)).toBe(13);
  });

  it('refuses other constructor arguments for a name that is taken', async () => {
    await remote.Counter.named('conflict', 1);
    expect((await errorOf(remote.Counter.named('conflict', 2))).code).toBe('InstanceConflict');
    expect(await (await remote.Counter.named('conflict', 1)).count()).toBe(1);
  });

  it('binds by arguments, and makes a fresh one with new', async () => {
    const [a, b] = [await remote.Counter.bind(5), await remote.Counter.bind(5)];
    expect(a.id).toBe(b.id);
    await a.add(1);
    expect(await b.count()).toBe(6);
    await using fresh = await remote.Counter.new(5);
    expect(fresh.id).not.toBe(a.id);
    expect(await fresh.count()).toBe(5);
  });

  it('partial arguments are completed by the rest', async () => {
    const bound = remote.Counter.partial(7);
    expect(await (await bound.named('partial')).count()).toBe(7);
  });

  it('tells methods where they run', async () => {
    const instance = await remote.Counter.named('where');
    expect(await instance.context()).toEqual({
      app: 'behaviour',
      cls: 'Counter',
      id: 'where',
      attempt: 1,
      restarted: false,
    });
  });

  it('lists, inspects and explains live instances', async () => {
    const instance = await remote.Counter.named('inspected');
    await instance.add(1);
    expect(await instance.inspect()).toMatchObject({
      app: 'behaviour',
      name: 'Counter',
      id: 'inspected',
      state: 'active',
      running: 0,
    });
    const explanation = await instance.explain();
    expect(explanation.transitions.map((t) => t.to)).toEqual(['placing', 'active']);
    const ids: string[] = [];
    for await (const info of remote.Counter.list()) ids.push(info.id);
    expect(ids).toContain('inspected');
  });
});

describe('values', () => {
  it('carries what structured clone does', async () => {
    const instance = await remote.Counter.named('values');
    const value = {
      m: new Map([['k', new Set([1n])]]),
      d: new Date(5),
      u: undefined,
      b: new Uint8Array([1, 2]),
      r: /x/g,
    };
    expect(await instance.echo(value)).toEqual(value);
  });

  it('carries large arguments and results', async () => {
    const instance = await remote.Counter.named('large');
    const bytes = new Uint8Array(5_000_000).map((_, i) => i % 251);
    expect(Buffer.compare((await instance.echo(bytes)) as Uint8Array, bytes)).toBe(0);
  });

  it('names the path of what cannot travel, there and back', async () => {
    const instance = await remote.Counter.named('unserializable');
    const there = await errorOf(instance.echo({ user: { onClick: () => 1 } }));
    expect([there.code, there.outcome]).toEqual(['NotSerializable', 'not-run']);
    expect(there.message).toContain('user.onClick');
    const back = await errorOf(instance.unserializable());
    expect([back.code, back.outcome]).toEqual(['NotSerializable', 'ran']);
    expect(back.message).toContain('broken.callback');
  });

  it('refuses a 200 000 deep value and goes on', async () => {
    const instance = await remote.Counter.named('deep');
    let deep: unknown[] = [];
    for (let i = 0; i < 200_000; i++) deep = [deep];
    expect((await errorOf(instance.echo(deep))).code).toBe('NotSerializable');
    expect(await instance.add(1)).toBe(1);
  });
});

describe('generators', () => {
  it('stream in order, more than the credit', async () => {
    const instance = await remote.Counter.named('generator');
    let next = 0;
    for await (const n of instance.numbers(10_000)) expect(n).toBe(next++);
    expect(next).toBe(10_000);
  });

  it('says what to do where a method returns an iterable and is not declared as a generator', async () => {
    const instances = [await remote.Counter.named('iterable'), await Cls.of(Counter).local()];
    for (const instance of instances) {
      const read = async (values: AsyncIterable<number>): Promise<void> => {
        for await (const value of values) throw new Error(`there was ${value}`);
      };
      const answered = await errorOf(read(instance.iterable(3)));
      expect(answered).toMatchObject({ code: 'NotSerializable', outcome: 'ran' });
      expect(answered.message).toContain('async function*');
      expect(await errorOf(read(instance.iterable.remoteGen(3)))).toMatchObject({ code: 'InvalidArgument' });
      const value = instance.count() as unknown as AsyncIterable<number>;
      expect((await errorOf(read(value))).message).toContain('await it');
    }
  });

  it('stream values larger than a frame', async () => {
    const instance = await remote.Counter.named('blocks');
    const firsts: number[] = [];
    for await (const block of instance.blocks(20)) firsts.push(block[99_999] ?? -1);
    expect(firsts).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  it('stop when the reader leaves', async () => {
    const instance = await remote.Endless.named('endless');
    for await (const n of instance.ticks()) if (n === 5) break;
    expect(await instance.stopped()).toBe(true);
  });
});

describe('errors of the user', () => {
  it('arrive with name, message, stack, fields and cause', async () => {
    const instance = await remote.Counter.named('fails');
    const error = await errorOf(instance.fail());
    expect([error.code, error.outcome]).toEqual(['UserError', 'ran']);
    expect(error.cause).toMatchObject({ name: 'QuotaError', message: 'no quota left', remaining: 3 });
    const cause = error.cause as Error;
    expect(cause.stack).toContain('fail');
    expect((cause.cause as Error).message).toBe('the deeper reason');
  });

  it('are retried as often as the class says', async () => {
    const instance = await remote.Flaky.named('flaky');
    expect(await instance.succeedsAt(3)).toBe(3);
    const error = await errorOf(instance.succeedsAt(10));
    expect((error.cause as Error).message).toBe('attempt 4 fails');
  });
});

describe('deadlines and cancellation', () => {
  it('a caller that runs out of time gets DeadlineExceeded, waiting or running', async () => {
    const instance = await remote.Counter.named('deadline');
    await instance.add(0);
    const running = errorOf(instance.patient.with({ timeoutMs: 300 })());
    const waiting = errorOf(instance.slow.with({ timeoutMs: 100 })(1));
    expect([(await waiting).code, (await waiting).outcome]).toEqual(['DeadlineExceeded', 'not-run']);
    expect([(await running).code, (await running).outcome]).toEqual(['DeadlineExceeded', 'ran']);
    expect(await instance.add(1)).toBe(1);
  });

  it('a cancelled call that waits never runs, one that runs gets its signal', async () => {
    const instance = await remote.Counter.named('cancel');
    await instance.add(0);
    const [first, second] = [new AbortController(), new AbortController()];
    const running = errorOf(instance.patient.with({ signal: first.signal })());
    const waiting = errorOf(instance.add.with({ signal: second.signal })(100));
    while ((await instance.inspect()).pending === 0);
    second.abort();
    expect((await waiting).outcome).toBe('not-run');
    first.abort();
    expect([(await running).code, (await running).outcome]).toEqual(['Cancelled', 'ran']);
    expect(await instance.add(1)).toBe(1);
  });

  it("the class's limit aborts the call, and kills the container of code that goes on", async () => {
    const instance = await remote.Short.named('short');
    const error = await errorOf(instance.overrun());
    expect([error.code, error.details['limit']]).toEqual(['DeadlineExceeded', 'class']);
    expect(await instance.hello()).toBe('hello');
    expect((await errorOf(instance.block())).code).toBe('DeadlineExceeded');
    expect(await instance.hello()).toBe('hello');
  });

  it('calls with one idempotency key run once', async () => {
    const instance = await remote.Counter.named('keyed');
    const add = instance.add.with({ idempotencyKey: 'k1' });
    expect(await Promise.all([add(5), add(5), add(5)])).toEqual([5, 5, 5]);
    expect(await add(5)).toBe(5);
    expect(await instance.add.with({ idempotencyKey: 'k2' })(1)).toBe(6);
  });
});

describe('bad input', () => {
  it('an unknown or undecorated method is refused by name, with those that are there', async () => {
    const instance = await remote.Counter.named('methods');
    const undecorated = await errorOf(instance.method('notDecorated')());
    expect(undecorated.code).toBe('InvalidArgument');
    expect(undecorated.message).toContain('notDecorated');
    expect(undecorated.message).toContain('add');
    for (const name of ['constructor', '__proto__', 'toString']) {
      expect((await errorOf(instance.method(name)())).code).toBe('InvalidArgument');
    }
  });

  it('an unknown app or class is NotFound and says what there is', async () => {
    expect((await errorOf(App.lookup('no-such-app', { client: cluster.client }))).code).toBe('NotFound');
    for (const name of ['', 'two words', undefined as unknown as string]) {
      expect((await errorOf(App.lookup(name, { client: cluster.client }))).code).toBe('InvalidArgument');
    }
    const cls = (await App.lookup('behaviour', { client: cluster.client })) as unknown as { cls(name: string): Cls };
    const error = await errorOf((async () => await cls.cls('NoSuchClass').named('x'))());
    expect(error.code).toBe('NotFound');
    expect(error.message).toContain('NoSuchClass');
  });

  it('wrong constructor arguments are refused before anything is placed', async () => {
    const counter = remote.Counter as unknown as Cls;
    expect((await errorOf(counter.named('arity', 1, 2, 3))).code).toBe('InvalidArgument');
    const badExit = remote.BadExit as unknown as Cls;
    const missing = await errorOf(badExit.new());
    expect(missing.code).toBe('InvalidArgument');
    expect(missing.message).toContain('how');
  });

  it('a start that throws or hangs gives ActivationFailed with the cause', async () => {
    const throwing = await errorOf((async () => await (await remote.BadStart.named('x')).hello())());
    expect(throwing.code).toBe('ActivationFailed');
    expect((throwing.cause as Error).message).toBe('the model file is missing');
    const hanging = await errorOf((async () => await (await remote.HangingStart.named('x')).hello())());
    expect(hanging.code).toBe('ActivationFailed');
    expect(hanging.message).toContain('startupTimeoutMs');
  });

  it('a method that ends the process loses its own instance and nothing else', async () => {
    const neighbour = await remote.Counter.named('neighbour');
    await neighbour.add(1);
    const instance = await remote.Crasher.named('crash');
    expect((await errorOf(instance.leave())).code).toBe('OutcomeUnknown');
    expect(await instance.restarted()).toBe(true);
    expect(await neighbour.add(1)).toBe(2);
  });

  it('a method that exhausts memory is OutOfMemory, and the instance comes back', async () => {
    const instance = await remote.Hog.named('hog');
    expect((await errorOf(instance.eat())).code).toBe('OutOfMemory');
    expect(await instance.hello()).toBe('hello');
  });
});

describe('handles', () => {
  it('resume the same instance', async () => {
    const instance = await remote.Counter.named('handle', 40);
    await instance.add(2);
    const attached = await remote.Counter.attach(instance.handleJson);
    expect(await attached.count()).toBe(42);
  });

  it('are refused when forged, truncated, foreign or stale', async () => {
    const instance = await remote.Counter.named('handles');
    const forged = { ...instance.handle, id: 'other' };
    expect((await errorOf(remote.Counter.attach(forged))).code).toBe('PermissionDenied');
    for (const other of [{ app: 'no-such-app' }, { name: 'NoSuchClass' }]) {
      const moved = { ...instance.handle, ...other };
      expect((await errorOf(Cls.fromHandle(moved, { client: cluster.client }))).code).toBe('PermissionDenied');
    }
    expect((await errorOf(remote.Counter.attach({ ...instance.handle, account: 'foreign' }))).code).toBe(
      'PermissionDenied',
    );
    expect((await errorOf(remote.Counter.attach(instance.handleJson.slice(0, 40)))).code).toBe('InvalidArgument');
    await instance.close();
    expect((await errorOf(remote.Counter.attach(instance.handle))).code).toBe('InstanceGone');
    const again = await remote.Counter.named('handles');
    expect(again.handle.generation).toBeGreaterThan(instance.handle.generation);
    expect((await errorOf(remote.Counter.attach(instance.handle))).code).toBe('InstanceGone');
    expect((await errorOf(instance.add(1))).code).toBe('InstanceGone');
  });
});

describe('close and sleep', () => {
  it('is idempotent, lets the running call finish and refuses the waiting one', async () => {
    const instance = await remote.Counter.named('closing');
    await instance.add(0);
    const running = instance.slow(300);
    const waiting = errorOf(instance.add(1));
    while ((await instance.inspect()).pending === 0);
    const closed = await instance.close();
    expect(closed).toMatchObject({ closed: true, alreadyClosed: false, exitHook: 'none' });
    expect(await running).toBe('done');
    expect((await waiting).code).toBe('InstanceClosed');
    expect(await instance.close()).toMatchObject({ closed: true, alreadyClosed: true });
  });

  it('reports exit hooks that throw or hang', async () => {
    const throwing = await remote.BadExit.named('throws', 'throws');
    await throwing.hello();
    expect(await throwing.close()).toMatchObject({
      exitHook: 'failed',
      error: expect.stringContaining('exit went wrong'),
    });
    const hanging = await remote.BadExit.named('hangs', 'hangs');
    await hanging.hello();
    expect(await hanging.close()).toMatchObject({ exitHook: 'timed-out' });
  });

  it('a sleeping instance is woken by the next call, with its handle still good', async () => {
    const instance = await remote.Sleeper.named('sleeper');
    const before = await instance.call();
    while ((await instance.inspect()).state !== 'idle') await new Promise((resolve) => setImmediate(resolve));
    const after = await instance.call();
    expect(after).toMatchObject({ calls: 1, restarted: false });
    expect(after.epoch).toBeGreaterThan(before.epoch);
  });
});

describe('calls between instances', () => {
  it('go through the worker, with values and generators', async () => {
    const nested = await remote.Nested.named('nested');
    expect(await nested.addThrough('inner', 4)).toBe(4);
    expect(await nested.sum('inner', 1_000)).toBe(499_500);
  });

  it('a call that waits for its own chain is Deadlock, not a hang', async () => {
    const nested = await remote.Nested.named('a');
    const error = await errorOf(nested.askPeer('b', 'a'));
    expect(error.code).toBe('Deadlock');
    expect(error.message).toContain('behaviour/Nested/a.askPeer');
    expect(await nested.answer()).toBe('answered');
  });

  it("the caller's deadline travels along", async () => {
    const nested = await remote.Nested.named('deadline');
    const error = await errorOf(nested.remaining.with({ timeoutMs: 400 })('slow-inner'));
    expect(error.code).toBe('DeadlineExceeded');
    const inner = await remote.Counter.named('slow-inner');
    expect(await inner.add(1)).toBe(1);
  });
});
