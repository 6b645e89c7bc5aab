import { describe, expect, test } from 'vitest';
import { runInContext } from '../../src/common/context.js';
import { alarmOf } from '../../src/common/instance-alarm.js';
import { HoldfastError } from '../../src/sdk/index.js';
import { LocalState } from '../../src/sdk/local/local-state.js';
import { CancelReason } from '../../src/wire/frames/frames.js';
import { CoalescingStorage } from '../../src/wire/link/instance-storage.js';
import { cluster, model, outcome, worker } from './scripted-model.js';
import type { ReceivedCall } from './scripted-worker.js';

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
    const storage = new CoalescingStorage(new LocalState(), { label: 'a/C/i', hasAlarm: false });
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
      storage,
      ...alarmOf(() => storage),
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
    // Long enough to be sent before it is over, on a machine that has other work.
    const timeoutMs = 500;
    expect(await outcome(instance.infer.with({ timeoutMs })(1))).toBe('DeadlineExceeded unknown');
    expect(worker.calls[0]?.cancelled).toBe(null);
    await worker.received(1);
    expect(await outcome(instance.infer.with({ timeoutMs })(2))).toBe('DeadlineExceeded unknown');
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
