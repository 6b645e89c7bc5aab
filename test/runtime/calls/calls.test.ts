import { afterEach, describe, expect, it } from 'vitest';
import { encodeArgs, encodeValue } from '../../../src/wire/codec/codec.js';
import { CancelReason, FrameKind, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const isLarge = (value: unknown): boolean => (value as typeof large).bytes.length === large.bytes.length;
const large = { bytes: new Uint8Array(300_000) };

describe('admission', () => {
  it('C1: runs, lets wait and refuses by the exact limits, and a freed slot goes to who has waited longest', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { concurrentRequests: 2, maxPendingTasks: 2 } });
    const { client, container } = await world.alive('Basket', 'a');
    const other = world.client();
    other.bind(1, world.bound(await world.pinNow('Basket', 'a')));
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await container.call(2);
    const fourth = other.call('work', [4]);
    const fifth = other.call('work', [5]);
    expect(await fifth.error()).toMatchObject({
      code: 'PendingLimitExceeded',
      outcome: 'not-run',
      details: { limit: 2, pending: 2 },
    });
    container.calls[0]?.result('one');
    expect(await calls[0]?.value()).toBe('one');
    expect((await container.call(3)).args).toEqual([3]);
    container.calls[1]?.result('two');
    expect((await container.call(4)).args).toEqual([4]);
    container.calls[3]?.result('four');
    expect(await fourth.value()).toBe('four');
    const counted = await world.metrics.text();
    expect(counted).toContain('holdfast_worker_calls_total{outcome="admitted"} 4');
    expect(counted).toContain('holdfast_worker_calls_total{outcome="refused"} 1');
  });

  it('C1: a wrong epoch and a leaving instance are moved before anything else is looked at', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const stranger = world.client();
    stranger.bind(1, world.bound({ ...pin, epoch: pin.epoch - 1 }));
    await stranger.call('work').moved();
    await stranger.call('no such method').moved();
    const running = client.call('work', ['first']);
    const first = await container.call(1);
    const keyed = { meta: { idempotencyKey: 'k' } };
    const released = world.ask({
      $case: 'release',
      value: { key: pin.key, epoch: pin.epoch, reason: 'redeploy' },
    });
    await world.stateBecomes(pin, 'draining');
    await client.call('no such method').moved();
    await client.call('work', ['second'], keyed).moved();
    first.result('done');
    expect(await running.value()).toBe('done');
    await released;
    expect(container.calls).toHaveLength(1);
  });

  it('C1: a key that was seen before joins its call or gets its answer, also while the instance is closed or full', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { maxPendingTasks: 0 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const keyed = { meta: { idempotencyKey: 'k' } };
    const first = client.call('work', ['first'], keyed);
    const run = await container.call(1);
    expect((await client.call('work').error()).code).toBe('PendingLimitExceeded');
    const joined = client.call('work', ['again'], keyed);
    const closed = world.close(pin);
    await world.stateBecomes(pin, 'closing');
    const late = client.call('work', ['later'], keyed);
    expect(await client.call('work').error()).toMatchObject({ code: 'InstanceClosed', outcome: 'not-run' });
    run.result('once');
    expect(await Promise.all([first.value(), joined.value(), late.value()])).toEqual(['once', 'once', 'once']);
    expect((await closed).closed).toBe(true);
    expect(container.calls).toHaveLength(1);
  });

  it('C1: refuses a call that would wait for itself, before it looks how many wait', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { maxPendingTasks: 0 } });
    const { client, container } = await world.alive('Basket', 'a');
    client.call('work');
    const holder = await container.call(1);
    const chain = [{ callId: holder.id, label: 'demo/Basket/a.work' }];
    expect(await client.call('work', [], { meta: { chain } }).error()).toMatchObject({
      code: 'Deadlock',
      outcome: 'not-run',
      details: { chain: ['demo/Basket/a.work'] },
    });
  });

  it('C1: inspection, cancel and close do not queue behind calls', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const running = client.call('work');
    const run = await container.call(1);
    run.container.onCancel = (call) => call.fail(new Error('stopped'));
    const waiting = client.call('work');
    await world.waits(pin, 1);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 1 });
    client.cancel(waiting);
    expect((await waiting.error()).outcome).toBe('not-run');
    expect(await world.close(pin, { force: true })).toMatchObject({ closed: true });
    expect((await running.error()).code).toBe('InstanceClosed');
  });

  it('C3: no frame of a call reaches the container before enter has ended, and then they come in their order', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { concurrentRequests: 3 } });
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Basket', 'a');
    const cancelled = client.call('work', [0]);
    for (const n of [1, 2, 3, 4]) client.call('work', [n]);
    await world.waits(pin, 2);
    client.cancel(cancelled);
    expect(await cancelled.error()).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    expect(container.calls).toHaveLength(0);
    container.send(FrameKind.Activated, { slot: 1 });
    await container.call(3);
    expect(container.calls.map((call) => call.args[0])).toEqual([1, 2, 3]);
    expect(await world.describe(pin)).toEqual({ running: 3, pending: 1 });
  });

  it('C9: only what the manifest names can be called, and a generator only as one', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    for (const name of ['constructor', '__proto__', 'toString', 'nothing']) {
      expect((await client.call(name).error()).code).toBe('InvalidArgument');
    }
    expect((await client.call('count').error()).code).toBe('InvalidArgument');
    expect((await client.call('work', [], { generator: true }).error()).code).toBe('InvalidArgument');
    expect(container.calls).toHaveLength(0);
  });
});

describe('time', () => {
  it('C4: the limit of the class aborts a call, and kills its container when the code goes on for exitTimeoutMs', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { timeoutMs: 10_000, exitTimeoutMs: 5_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    expect(run.remainingMs).toBe(10_000);
    await world.pass(11_000);
    expect(await call.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'ran', details: { limit: 'class' } });
    await until(() => run.cancelled === CancelReason.deadline);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 0 });
    expect(container.hasExited).toBe(false);
    await world.pass(6_000);
    expect(container.hasExited).toBe(true);
    await world.stateBecomes(pin, 'idle');
  });

  it('C4: the limit of the class kills nothing where the code stops within exitTimeoutMs', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { timeoutMs: 10_000, exitTimeoutMs: 5_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    await world.pass(12_000);
    run.fail(new Error('aborted'));
    expect((await call.error()).code).toBe('DeadlineExceeded');
    await world.runs(pin, 0);
    await world.pass(10_000);
    expect(container.hasExited).toBe(false);
    client.call('work');
    await container.call(2);
  });

  it('C4: the limit counts from the end of enter for a call that came before', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { timeoutMs: 10_000 } });
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Basket', 'a');
    const call = client.call('work');
    await world.runs(pin, 1);
    await world.pass(8_000);
    container.send(FrameKind.Activated, { slot: 1 });
    const run = await container.call(1);
    expect(run.remainingMs).toBe(10_000);
    await world.pass(8_000);
    run.result('in time');
    expect(await call.value()).toBe('in time');
  });

  it('C4: the limit counts from the start of a call, not from the time for which it waited', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { timeoutMs: 10_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    client.call('work');
    const second = client.call('work');
    const first = await container.call(1);
    await world.waits(pin, 1);
    await world.pass(8_000);
    first.result('done');
    const run = await container.call(2);
    expect(run.remainingMs).toBe(10_000);
    await world.pass(8_000);
    run.result('also done');
    expect(await second.value()).toBe('also done');
  });

  it("C4: a caller's deadline ends its call alone: no container dies, and the slot frees when the code stops", async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { exitTimeoutMs: 1_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work', [], { remainingMs: 3_000 });
    const run = await container.call(1);
    expect(run.remainingMs).toBe(3_000);
    const waiting = client.call('work', [], { remainingMs: 4_000 });
    await world.waits(pin, 1);
    await world.pass(5_000);
    expect(await call.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'ran' });
    expect(await waiting.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'not-run' });
    await world.pass(20_000);
    expect(container.hasExited).toBe(false);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 0 });
    run.result('too late');
    await world.runs(pin, 0);
    expect(call.kinds).toEqual([FrameKind.Error]);
  });

  it('C5: a caller that is gone has cancelled its calls: those that wait never run, those that run get the signal', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    client.call('work');
    client.call('work');
    const run = await container.call(1);
    await world.waits(pin, 1);
    client.close();
    await until(() => run.cancelled === CancelReason.caller);
    await world.waits(pin, 0);
    run.fail(new Error('stopped'));
    await world.runs(pin, 0);
    expect(container.calls).toHaveLength(1);
  });
});

describe('slots', () => {
  it('C5: frees them when a client does not come back within 5 s, and not before', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    client.call('work');
    client.call('work');
    const run = await container.call(1);
    await world.waits(pin, 1);
    client.vanish();
    await world.pass(4_000);
    expect(run.cancelled).toBe(null);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 1 });
    await world.pass(2_000);
    await until(() => run.cancelled === CancelReason.caller);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 0 });
    run.fail(new Error('stopped'));
    await world.runs(pin, 0);
  });

  it('C8: frees the one of a generator that its reader has left, when the generator has stopped', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('count', [], { generator: true });
    const run = await container.call(1);
    const value = encodeValue(1);
    container.stream.writer.payload(FrameKind.Yield, run.ref, 0, value.length, value);
    container.stream.flushNow();
    await until(() => call.kinds.length === 1);
    client.cancel(call, CancelReason.abandoned);
    await until(() => run.cancelled === CancelReason.abandoned);
    expect(await world.describe(pin)).toEqual({ running: 1, pending: 0 });
    container.send(FrameKind.End, { ref: run.ref });
    await world.runs(pin, 0);
  });

  it('frees the slot when the code has ended although its large result is read slowly, or not at all', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    run.result(large);
    await world.runs(pin, 0);
    client.call('work');
    await container.call(2);
    await until(() => call.bytes === inlinePayloadBytes);
    client.close();
    await until(() => run.cancelled === CancelReason.caller);
  });

  it('asks for no more of an answer than the caller has, and passes it on as it comes', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    const bytes = encodeValue(large, 'result');
    run.result(large);
    await until(() => call.bytes === inlinePayloadBytes);
    client.credit(call, 100_000);
    await until(() => run.credit === 100_000);
    for (let at = inlinePayloadBytes; at < bytes.length; at += 50_000) {
      client.credit(call, 50_000);
      run.chunk(bytes.subarray(at, at + 50_000));
      await turns(3);
    }
    expect(await call.value()).toSatisfy(isLarge);
  });

  it('carries large arguments on the credit that the container gives', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const payload = encodeArgs([large]);
    const call = client.call('work', [], { payload });
    const run = await container.call(1);
    run.ask(payload.length - inlinePayloadBytes);
    await until(() => call.credit === payload.length - inlinePayloadBytes);
    for (let at = inlinePayloadBytes; at < payload.length; at += 60_000)
      client.chunk(call, payload.subarray(at, at + 60_000));
    await until(() => run.payload.length === payload.length);
    run.result((run.args[0] as typeof large).bytes.length);
    expect(await call.value()).toBe(300_000);
  });

  it('answers a call once, whatever the container still says of it', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    run.result('first');
    run.result('second');
    run.fail(new Error('third'));
    expect(await call.value()).toBe('first');
    await turns(5);
    expect(call.kinds).toEqual([FrameKind.Result]);
    await world.runs(pin, 0);
  });

  it('S3: a container that dies takes its calls and no others: those that ran are unknown, those that waited are moved', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Packed', { options: { tasksPerContainer: 2 } });
    const a = await world.alive('Packed', 'a');
    const b = await world.alive('Packed', 'b');
    const c = await world.alive('Basket', 'c');
    const calls = [a, b, c].map(({ client }) => client.call('work'));
    await a.container.call(2);
    const waiting = a.client.call('work');
    await world.waits(a.pin, 1);
    a.container.die({ exitCode: 7 });
    for (const call of calls.slice(0, 2)) {
      expect(await call.error()).toMatchObject({
        code: 'OutcomeUnknown',
        outcome: 'unknown',
        details: { exitCode: 7 },
      });
    }
    await waiting.moved();
    await world.stateBecomes(a.pin, 'idle');
    await world.stateBecomes(b.pin, 'idle');
    expect(world.worker.gauges).toMatchObject({ instances: 1, containers: 1 });
    (await c.container.call(1)).result('alive');
    expect(await calls[2]?.value()).toBe('alive');
  });

  it('C6: a call that comes while the container is dying never runs there, and is moved when the pin says so', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    container.hangUp();
    await turns(3);
    const call = client.call('work');
    await world.runs(pin, 1);
    const waiting = client.call('work');
    await world.waits(pin, 1);
    container.die({ signal: 'SIGKILL' });
    await Promise.all([call.moved(), waiting.moved()]);
    expect(await world.stateOf(pin)).toBe('idle');
  });

  it('S3: an instance that may not be made again is lost with its container', async () => {
    world = await WorkerWorld.start();
    const pin = await world.pinAt('Basket', 'a', { onLoss: 'fail' });
    await world.place(pin);
    const client = world.client();
    client.bind(1, world.bound(pin));
    const call = client.call('work');
    const container = await world.starter.container(1);
    await container.call(1);
    container.die({ outOfMemory: true });
    expect((await call.error()).code).toBe('OutOfMemory');
    await world.stateBecomes(pin, 'lost');
  });
});
