import { describe, expect, test } from 'vitest';
import { Cls, HoldfastError } from '../../src/sdk/index.js';
import { encodeUserError } from '../../src/wire/errors.js';
import type { Retried } from './scripted-app.js';
import { cluster, errorReply, model, outcome, turn, worker } from './scripted-model.js';
import { echo, type ReceivedCall } from './scripted-worker.js';

const expired = new HoldfastError('PermissionDenied', 'expired', { details: { reason: 'expired' } });

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
    // Long enough for a client that does not wait to be there.
    for (let turns = 0; turns < 50; turns += 1) await turn();
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

  test('that was gone and is there again, as its router says, can be called again', async () => {
    const before = await model();
    worker.onCall = (call) => call.moved();
    cluster.onControl = ({ op }) => (op?.$case === 'resolve' ? errorReply('InstanceGone') : null);
    expect(await outcome(before.infer(1))).toBe('InstanceGone not-run');
    worker.onCall = echo;
    expect(await (await model()).infer(2)).toMatchObject({ args: [2] });
    expect(await outcome(before.infer(3))).toBe('InstanceGone not-run');
  });

  test('and never settles is followed until the deadline of the call', async () => {
    const instance = await model();
    worker.onCall = (call) => call.moved();
    expect(await outcome(instance.infer.with({ timeoutMs: 60 })(1))).toBe('DeadlineExceeded not-run');
  });

  test('is looked up once more where the right to call has expired, and the calls keep their order', async () => {
    const instance = await model();
    worker.onCall = (call) => call.fail(expired);
    cluster.onControl = ({ op }) => {
      if (op?.$case === 'resolve') worker.onCall = echo;
      return null;
    };
    const calls = [1, 2, 3].map((i) => instance.infer(i));
    expect(await Promise.all(calls)).toMatchObject([{ args: [1] }, { args: [2] }, { args: [3] }]);
    expect(worker.calls.map(({ args }) => args[0])).toEqual([1, 2, 3, 1, 2, 3]);
    // Nothing has failed there: the router answers at once.
    expect(cluster.ops.filter((op) => op.$case === 'resolve')).toMatchObject([{ value: { failedEpoch: 0 } }]);
  });

  test('says so where the next right to call has expired as well', async () => {
    const instance = await model();
    worker.onCall = (call) => call.fail(expired);
    expect(await outcome(instance.infer(1))).toBe('PermissionDenied not-run');
    expect(worker.calls).toHaveLength(2);
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
