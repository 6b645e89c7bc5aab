import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runInContext } from '../../src/common/context.js';
import { App, Cls, HoldfastError, isHoldfastError } from '../../src/sdk/index.js';
import { encodeError as encodeHoldfastError, encodeUserError } from '../../src/wire/errors.js';
import { CancelReason, initialYieldCreditBytes } from '../../src/wire/frames.js';
import type { Model, Retried } from './scripted-app.js';
import './scripted-app.js';
import { echo, type ReceivedCall, ScriptedCluster, type ScriptedWorker } from './scripted-cluster.js';

let cluster: ScriptedCluster;
let worker: ScriptedWorker;

beforeEach(() => {
  cluster = new ScriptedCluster();
  worker = cluster.place.worker;
  worker.onCall = echo;
});

afterEach(async () => {
  await cluster.client.close();
});

async function model(id = 'm') {
  const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
  return await cls.named(id);
}

async function outcome(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => 'none',
    (e: unknown) => (isHoldfastError(e) ? `${e.code} ${e.outcome}` : String(e)),
  );
}

describe('a call', () => {
  test('reaches its instance by both forms, with arguments as they were', async () => {
    const instance = await model();
    const value = { a: 1 };
    const call = instance.infer(value);
    value.a = 2;
    expect(await call).toEqual({ method: 'infer', args: [{ a: 1 }], epoch: 10 });
    expect(await instance.infer.remote('x')).toEqual({ method: 'infer', args: ['x'], epoch: 10 });
    expect(worker.bindings.size).toBe(1);
  });

  test('carries large arguments and results on credit', async () => {
    const instance = await model();
    const large = new Uint8Array(3_000_000).map((_, i) => i % 251);
    worker.onCall = (call) => call.result(call.args[0]);
    const back = (await instance.infer(large)) as Uint8Array;
    expect(Buffer.compare(back, large)).toBe(0);
  });

  test('to one instance arrives in the order of the calls, whatever their size', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    const large = 'x'.repeat(200_000);
    const calls = Array.from({ length: 50 }, (_, i) => instance.infer(i % 7 === 0 ? large + i : i));
    await worker.received(50);
    const order = worker.calls.map((call) => (call.isComplete ? call.args[0] : 'large'));
    expect(order).toHaveLength(50);
    expect(order.filter((arg) => arg !== 'large')).toEqual(
      Array.from({ length: 50 }, (_, i) => i).filter((i) => i % 7 !== 0),
    );
    for (const call of worker.calls) call.result(1);
    await Promise.all(calls);
  });

  test('tells the worker how long it may take, 0 for no limit', async () => {
    const instance = await model();
    await instance.infer(1);
    await instance.infer.with({ timeoutMs: 5_000 })(1);
    expect(worker.calls[0]?.remainingMs).toBe(0);
    expect(worker.calls[1]?.remainingMs).toBeGreaterThan(4_000);
    expect(worker.calls[1]?.remainingMs).toBeLessThanOrEqual(5_000);
  });

  test('carries its idempotency key', async () => {
    const instance = await model();
    await instance.infer.with({ idempotencyKey: 'k' }).with({ timeoutMs: 9_000 })(1);
    expect(worker.calls[0]?.meta).toEqual({ idempotencyKey: 'k' });
  });

  test('made by a method carries the chain and inherits time and cancel', async () => {
    const instance = await model();
    const outer = new AbortController();
    worker.onCall = () => undefined;
    const context = {
      appName: 'a',
      className: 'C',
      instanceId: 'i',
      callId: 'c.1',
      attempt: 1,
      epoch: 1,
      restarted: false,
      signal: outer.signal,
      log: { debug: fail, info: fail, warn: fail, error: fail },
      chain: [{ callId: 'c.1', label: 'a/C/i.run' }],
      deadline: cluster.core.clock.monotonic() + 10_000,
      traceparent: '00-11111111111111111111111111111111-2222222222222222-01',
    };
    const call = runInContext(context, () => instance.infer.with({ timeoutMs: 60_000 })(1));
    await worker.received(1);
    const [received] = worker.calls as [ReceivedCall];
    expect(received.meta).toEqual({ chain: context.chain, traceparent: context.traceparent });
    expect(received.remainingMs).toBeLessThanOrEqual(10_000);
    received.onCancel = () => received.fail(new HoldfastError('Cancelled', 'stopped', { outcome: 'ran' }));
    outer.abort();
    expect(await outcome(call)).toBe('Cancelled ran');
  });

  test('with what cannot travel fails before it is sent', async () => {
    const instance = await model();
    expect(await outcome(instance.infer(() => 1))).toBe('NotSerializable not-run');
    expect(worker.calls).toHaveLength(0);
  });

  test('of a method that is not there is refused here', async () => {
    const instance = (await model()) as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    expect(await outcome(instance['hodl']?.() as Promise<unknown>)).toBe('InvalidArgument not-run');
    expect(worker.calls).toHaveLength(0);
  });

  test('to a method that a control hides goes through method()', async () => {
    const instance = await model();
    expect(await instance.method('close')(true)).toMatchObject({ method: 'close', args: [true] });
    expect(cluster.ops.map((op) => op.$case)).toEqual(['create']);
  });
});

function fail(): void {
  expect.unreachable();
}

describe('cancel and deadline', () => {
  test('a signal that is aborted already sends nothing', async () => {
    const instance = await model();
    expect(await outcome(instance.infer.with({ signal: AbortSignal.abort() })(1))).toBe('Cancelled not-run');
    expect(worker.calls).toHaveLength(0);
  });

  test('an abort asks the worker, whose answer says whether the code ran', async () => {
    const instance = await model();
    const controller = new AbortController();
    worker.onCall = (call) => {
      call.onCancel = () => call.fail(new HoldfastError('Cancelled', 'waiting', { outcome: 'not-run' }));
    };
    const call = instance.infer.with({ signal: controller.signal })(1);
    await worker.received(1);
    controller.abort();
    expect(await outcome(call)).toBe('Cancelled not-run');
    expect(worker.calls[0]?.cancelled).toBe(CancelReason.caller);
  });

  test('one signal may cancel many calls', async () => {
    const instance = await model();
    const controller = new AbortController();
    worker.onCall = (call) => {
      call.onCancel = () => call.fail(new HoldfastError('Cancelled', 'c', { outcome: 'ran' }));
    };
    const stub = instance.infer.with({ signal: controller.signal });
    const calls = Array.from({ length: 30 }, (_, i) => outcome(stub(i)));
    await worker.received(30);
    controller.abort();
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['Cancelled ran']));
  });

  test('a worker that never answers costs no more than the deadline and its backstop', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    expect(await outcome(instance.infer.with({ timeoutMs: 30 })(1))).toBe('DeadlineExceeded unknown');
    expect(worker.calls[0]?.cancelled).toBe(null);
    await worker.received(1);
    expect(await outcome(instance.infer.with({ timeoutMs: 30 })(2))).toBe('DeadlineExceeded unknown');
    expect(worker.calls[0]?.cancelled).toBe(CancelReason.deadline);
  });

  test('a worker that does not answer a cancel does not hold its caller', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    const controller = new AbortController();
    const call = instance.infer.with({ signal: controller.signal })(1);
    await worker.received(1);
    controller.abort();
    expect(await outcome(call)).toBe('Cancelled unknown');
  });

  test('options are checked when they are given', async () => {
    const instance = await model();
    expect(() => instance.infer.with({ timeoutMs: 0 })).toThrow(
      "option 'timeoutMs' of a call of scripted/Model/m.infer",
    );
    expect(() => instance.infer.with({ idempotencyKey: '' })).toThrow('idempotencyKey');
    expect(() => instance.infer.with({ timeout: 5 } as never)).toThrow("has no option 'timeout'");
  });
});

describe('an instance that moves', () => {
  test('is followed, and its calls keep their order across the move', async () => {
    const instance = await model();
    const second = cluster.worker('w2:1');
    const arrived: unknown[] = [];
    second.onCall = (call) => {
      arrived.push(call.args[0]);
      echo(call);
    };
    worker.onCall = () => undefined;
    const calls = [0, 1, 2, 3].map((i) => instance.infer(i));
    await worker.received(4);
    cluster.place = { worker: second, epoch: 11 };
    const [first, ...others] = worker.calls as [ReceivedCall, ...ReceivedCall[]];
    for (const call of others) call.moved();
    await resolved();
    const later = instance.infer(4);
    expect(second.calls).toHaveLength(0);
    first.result('finished there');
    expect(await calls[0]).toBe('finished there');
    expect(await later).toMatchObject({ epoch: 11 });
    await Promise.all(calls);
    expect(arrived).toEqual([1, 2, 3, 4]);
    const asked = cluster.ops.filter((op) => op.$case === 'resolve');
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ value: { failedEpoch: 10, id: 'm', generation: 10 } });
  });

  test('that is gone fails its calls, and is closed from then on', async () => {
    const instance = await model();
    worker.onCall = (call) => call.moved();
    cluster.onControl = ({ op }) => (op?.$case === 'resolve' ? errorReply('InstanceGone') : null);
    expect(instance.closed).toBe(false);
    expect(await outcome(instance.infer(1))).toBe('InstanceGone not-run');
    expect(instance.closed).toBe(true);
    expect(await outcome(instance.infer(2))).toBe('InstanceGone not-run');
    expect(worker.calls).toHaveLength(1);
  });

  test('and never settles is followed until the deadline of the call', async () => {
    const instance = await model();
    worker.onCall = (call) => call.moved();
    expect(await outcome(instance.infer.with({ timeoutMs: 60 })(1))).toBe('DeadlineExceeded not-run');
  });

  test('waits for nobody that has cancelled meanwhile', async () => {
    const instance = await model();
    worker.onCall = (call) => call.moved();
    cluster.onControl = ({ op }) => (op?.$case === 'resolve' ? 'silence' : null);
    const controller = new AbortController();
    const call = instance.infer.with({ signal: controller.signal })(1);
    await resolved();
    controller.abort();
    expect(await outcome(call)).toBe('Cancelled not-run');
    cluster.onControl = null;
    worker.onCall = echo;
    expect(await instance.infer(2)).toMatchObject({ args: [2] });
  });

  /** The router was asked where the instance is. */
  async function resolved(): Promise<void> {
    while (!cluster.ops.some((op) => op.$case === 'resolve')) await turn();
  }
});

function errorReply(code: 'InstanceGone' | 'Unavailable' | 'NotFound' | 'InstanceConflict') {
  return { $case: 'error', value: Buffer.from(encodeErrorOf(code)) } as const;
}

function encodeErrorOf(code: 'InstanceGone' | 'Unavailable' | 'NotFound' | 'InstanceConflict'): Uint8Array {
  return encodeHoldfastError(new HoldfastError(code, `scripted ${code}`));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('a lost connection', () => {
  test('that comes back loses and repeats nothing', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    const calls = [1, 2, 3].map((i) => instance.infer(i));
    await worker.received(3);
    worker.cut();
    for (const call of worker.calls) call.result(call.args[0]);
    expect(await Promise.all(calls)).toEqual([1, 2, 3]);
    expect(worker.calls).toHaveLength(3);
  });

  test('leaves the outcome of calls that were there unknown, runs idempotent ones again, keeps the order', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    const lost = instance.infer('lost');
    const again = instance.read('again');
    await worker.received(2);
    const second = cluster.worker('w2:1');
    second.onCall = echo;
    cluster.place = { worker: second, epoch: 11 };
    worker.die();
    expect(await outcome(lost)).toBe('OutcomeUnknown unknown');
    expect(await again).toMatchObject({ args: ['again'], epoch: 11 });
  });

  test('sends calls again that certainly never left', async () => {
    const instance = await model();
    worker.isAccepting = false;
    const call = instance.infer('never left');
    const second = cluster.worker('w2:1');
    second.onCall = echo;
    cluster.place = { worker: second, epoch: 11 };
    expect(await call).toMatchObject({ args: ['never left'], epoch: 11 });
    expect(worker.calls).toHaveLength(0);
  });

  test('in the middle of a stream ends it with StreamLost, after the values that came', async () => {
    const instance = await model();
    worker.onCall = (call) => call.yields(1);
    const values: unknown[] = [];
    const read = (async () => {
      for await (const value of instance.tokens(9)) {
        values.push(value);
        worker.die();
      }
    })();
    expect(await outcome(read)).toBe('StreamLost unknown');
    expect(values).toEqual([1]);
  });

  test('by a client that is closed fails its calls', async () => {
    const instance = await model();
    worker.onCall = () => undefined;
    const call = instance.infer(1);
    await worker.received(1);
    await cluster.client.close();
    expect(await outcome(call)).toBe('Cancelled unknown');
    expect(await outcome(model('other'))).toBe('Cancelled not-run');
  });
});

describe('a generator', () => {
  test('starts when it is read, and its values come in order', async () => {
    const instance = await model();
    worker.onCall = (call) => {
      for (const value of call.args) for (let i = 0; i < Number(value); i += 1) call.yields({ i });
      call.end();
    };
    const values = instance.tokens(3);
    await turn();
    expect(worker.calls).toHaveLength(0);
    const seen: unknown[] = [];
    for await (const value of values) seen.push(value);
    expect(seen).toEqual([{ i: 0 }, { i: 1 }, { i: 2 }]);
    expect(worker.calls[0]?.isGenerator).toBe(true);
  });

  test('that is left tells the worker that nobody reads', async () => {
    const instance = await model();
    const abandoned = new Promise<CancelReason | null>((resolve) => {
      worker.onCall = (call) => {
        call.onCancel = () => resolve(call.cancelled);
        for (let i = 0; i < 10; i += 1) call.yields(i);
      };
    });
    for await (const value of instance.tokens(10)) if (value === 3) break;
    expect(await abandoned).toBe(CancelReason.abandoned);
  });

  test('gives credit back as its values are taken, all of it in the end', async () => {
    const instance = await model();
    const value = 'v'.repeat(30_000);
    let sent = 0;
    let spent = 0;
    worker.onCall = (call) => {
      const pump = (): void => {
        while (sent < 40 && spent - call.credit < initialYieldCreditBytes) {
          call.yields(value);
          spent += 30_000 + 3 + 1 + 64;
          sent += 1;
        }
        if (sent === 40) call.end();
        else call.onCredit = pump;
      };
      pump();
    };
    let read = 0;
    for await (const each of instance.tokens(40)) {
      expect(each).toBe(value);
      read += 1;
    }
    expect(read).toBe(40);
  });

  test('may yield values larger than all its credit', async () => {
    const instance = await model();
    const large = new Uint8Array(1_000_000).fill(7);
    worker.onCall = (call) => {
      call.credit = initialYieldCreditBytes;
      call.yields(large);
      const sendRest = call.onCredit;
      call.onCredit = () => {
        sendRest();
        if (call.credit > 0) call.end();
      };
    };
    const sizes: number[] = [];
    for await (const each of instance.tokens(1)) {
      sizes.push((each as Uint8Array).length);
      break;
    }
    expect(sizes).toEqual([1_000_000]);
  });

  test('fails with what its code threw after the values before it', async () => {
    const instance = await model();
    worker.onCall = (call) => {
      call.yields('a');
      call.fail(encodeUserError(new RangeError('ended badly')));
    };
    const values: unknown[] = [];
    const read = (async () => {
      for await (const value of instance.tokens(1)) values.push(value);
    })();
    expect(await outcome(read)).toBe('UserError ran');
    expect(values).toEqual(['a']);
  });

  test('whose arguments cannot travel fails at its first value', async () => {
    const instance = await model();
    const values = instance.tokens((() => 1) as never);
    expect(await outcome((async () => await values[Symbol.asyncIterator]().next())())).toBe('NotSerializable not-run');
  });
});

describe('retries', () => {
  async function retried() {
    const cls = await Cls.fromName<typeof Retried>('scripted', 'Retried', { client: cluster.client });
    return await cls.named('r');
  }

  test('follow the class for what the code threw, and count attempts', async () => {
    const instance = await retried();
    worker.onCall = (call) => {
      if ((call.meta?.attempt ?? 1) < 3) call.fail(encodeUserError(new Error('not yet')));
      else call.result('third');
    };
    expect(await instance.infer(1)).toBe('third');
    expect(worker.calls.map((call) => call.meta?.attempt)).toEqual([undefined, 2, 3]);
  });

  test('end with the last error, and do not begin where the error forbids it', async () => {
    const instance = await retried();
    worker.onCall = (call) => call.fail(encodeUserError(new Error('never')));
    expect(await outcome(instance.infer(1))).toBe('UserError ran');
    expect(worker.calls).toHaveLength(3);
    worker.onCall = (call) => call.fail(encodeUserError(Object.assign(new Error('no'), { nonRetryable: true })));
    expect(await outcome(instance.infer(1))).toBe('UserError ran');
    expect(worker.calls).toHaveLength(4);
  });

  test('never repeat an overload', async () => {
    const instance = await retried();
    worker.onCall = (call) => call.fail(new HoldfastError('PendingLimitExceeded', 'full'));
    expect(await outcome(instance.infer(1))).toBe('PendingLimitExceeded not-run');
    expect(worker.calls).toHaveLength(1);
  });
});

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
