import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import type { Pin } from '../../../src/common/pin.js';
import { encodeValue } from '../../../src/wire/codec/codec.js';
import { encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { CancelReason, FrameKind, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import { WorkerHeartbeat } from '../../../src/wire/gen/holdfast/v1/bus.js';
import { allHeartbeatsSubject } from '../../../src/wire/subjects.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
const rejections: unknown[] = [];
const onRejection = (reason: unknown): void => void rejections.push(reason);
process.on('unhandledRejection', onRejection);
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await turns(3);
  expect(rejections.splice(0)).toEqual([]);
});

const isLarge = (value: unknown): boolean => (value as typeof large).bytes.length === large.bytes.length;
const large = { bytes: new Uint8Array(200_000) };

function drained(): Promise<number> {
  return world.worker.drain();
}

describe('the end of a worker', () => {
  it('waits for commits of what containers wrote no longer than a minute, and says whose they were', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket');
    const commit = { settled: new Promise<null>(() => undefined), hasVolumes: true };
    world.starter.prepare = (container) => Object.assign(container, commit);
    const { container } = await world.alive('Basket', 'a');
    const stopped = world.worker.abandon().catch((error: unknown) => error);
    await until(() => container.hasExited);
    await turns(20);
    expect(world.watchdog.stops).toBe(0);
    world.clock.advance(60_000);
    expect(await stopped).toMatchObject({ code: 'VolumeUnavailable', outcome: 'unknown', details: { containers: 1 } });
    expect(((await stopped) as Error).message).toContain(container.id);
    // What others wait for is done all the same.
    expect(world.watchdog.stops).toBe(1);
  });
});

describe('a store that is away', () => {
  it('lets as many pins wait for it as there are instances, of which Node warns nobody', async () => {
    const warnings: string[] = [];
    const onWarning = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', onWarning);
    let [isAway, asked] = [false, 0];
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        pins: {
          ...store.pins,
          change: async (key, change) => {
            if (isAway) asked += 1;
            if (isAway) throw new HoldfastError('Unavailable', 'the store is away');
            return store.pins.change(key, change);
          },
        },
      }),
    });
    await world.deploy('Basket', { options: { tasksPerContainer: 16 } });
    for (let n = 0; n < 12; n += 1) await world.alive('Basket', `i${n}`);
    isAway = true;
    const leaving = drained();
    await until(() => asked === 12);
    await turns(3);
    isAway = false;
    world.clock.advance(1_000);
    expect(await leaving).toBe(12);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});

describe('close', () => {
  it('C9: lets running calls finish, refuses waiting and new ones, runs exit, and closes the pin last', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { exitHooks: ['cleanUp'] });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const running = client.call('work');
    const run = await container.call(1);
    const waiting = client.call('work');
    await world.waits(pin, 1);
    let stateAtExit = '';
    container.onDeactivate = async (slot, reason) => {
      stateAtExit = `${reason} at ${await world.stateOf(pin)}`;
      container.send(FrameKind.Deactivated, { slot, body: encodeBody({ exitHook: 'ran' }) });
    };
    const closed = world.close(pin);
    expect(await waiting.error()).toMatchObject({ code: 'InstanceClosed', outcome: 'not-run' });
    await world.stateBecomes(pin, 'closing');
    expect((await client.call('work').error()).code).toBe('InstanceClosed');
    run.result('done');
    expect(await running.value()).toBe('done');
    expect(await closed).toMatchObject({ closed: true, exitHook: 'ran' });
    expect(stateAtExit).toBe('close at closing');
    expect(await world.stateOf(pin)).toBe('closed');
    await until(() => container.hasExited);
    expect(world.worker.gauges).toMatchObject({ instances: 0, containers: 0 });
  });

  it('C9: is idempotent: who asks again joins, exit runs once', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { exitHooks: ['cleanUp'] });
    const { pin, container } = await world.alive('Basket', 'a');
    const replies = await Promise.all([world.close(pin), world.close(pin), world.close(pin, { force: true })]);
    expect(replies.map((reply) => reply.exitHook)).toEqual(['ran', 'ran', 'ran']);
    expect(container.reasons).toEqual(['close']);
    expect(await world.close(pin)).toMatchObject({ closed: false });
  });

  it('C9: with force aborts what runs at once; what ignores that dies with its container', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    const closed = world.close(pin, { force: true });
    expect(await call.error()).toMatchObject({ code: 'InstanceClosed', outcome: 'ran' });
    await until(() => run.cancelled === CancelReason.forceClose);
    expect(container.hasExited).toBe(false);
    await world.pass(2_000);
    expect(await closed).toMatchObject({ closed: true, exitHook: 'none' });
    expect(container.hasExited).toBe(true);
    expect(await world.stateOf(pin)).toBe('closed');
  });

  it('C9: while enter runs refuses new and waiting calls at once, and ends when enter has', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Basket', 'a');
    const early = client.call('work');
    await world.runs(pin, 1);
    const closed = world.close(pin);
    expect(await early.error()).toMatchObject({ code: 'InstanceClosed', outcome: 'not-run' });
    expect((await client.call('work').error()).code).toBe('InstanceClosed');
    expect(await world.stateOf(pin)).toBe('active');
    container.send(FrameKind.Activated, { slot: 1 });
    expect((await closed).closed).toBe(true);
    expect(await world.stateOf(pin)).toBe('closed');
    expect(container.calls).toHaveLength(0);
  });

  it('C9: goes through although the container dies under it', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { exitHooks: ['cleanUp'] });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    await container.call(1);
    const closed = world.close(pin);
    await world.stateBecomes(pin, 'closing');
    container.die();
    expect((await call.error()).code).toBe('OutcomeUnknown');
    expect(await closed).toMatchObject({ closed: true, exitHook: 'skipped' });
    expect(await world.stateOf(pin)).toBe('closed');
  });

  it('C3: gives exit hooks exitTimeoutMs and not more, also where the container does not answer', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { exitHooks: ['cleanUp'], options: { exitTimeoutMs: 5_000 } });
    const { pin, container } = await world.alive('Basket', 'a');
    container.onDeactivate = () => undefined;
    const closed = world.close(pin);
    await until(() => container.reasons.length === 1);
    await world.pass(7_000);
    expect(await closed).toMatchObject({ closed: true, exitHook: 'timed-out' });
    expect(container.hasExited).toBe(true);
  });

  it('S8: code of an exit hook that ignores the end of its time dies with its container, before the pin says that it left', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Packed', { exitHooks: ['cleanUp'], options: { tasksPerContainer: 5 } });
    const { pin, container } = await world.alive('Packed', 'a');
    container.diesAtOnce = false;
    container.onDeactivate = (slot) =>
      container.send(FrameKind.Deactivated, { slot, body: encodeBody({ exitHook: 'timed-out' }) });
    const closed = world.close(pin);
    await until(() => container.kills > 0);
    await turns(20);
    expect(await world.stateOf(pin)).toBe('closing');
    container.die();
    expect(await closed).toMatchObject({ closed: true, exitHook: 'timed-out' });
    expect(await world.stateOf(pin)).toBe('closed');
  });

  it('answers although what an exit hook threw is longer than the bus carries, or is no report at all', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { exitHooks: ['cleanUp'] });
    const reports = [{ exitHook: 'failed', error: 'x'.repeat(2_000_000) }, { exitHook: { toString: 1 }, error: 7 }, {}];
    for (const [n, report] of reports.entries()) {
      const { pin, container } = await world.alive('Basket', `i${n}`);
      container.onDeactivate = (slot) => container.send(FrameKind.Deactivated, { slot, body: encodeBody(report) });
      const reply = await world.close(pin);
      expect(reply).toMatchObject({ closed: true, exitHook: n === 0 ? 'failed' : 'skipped' });
      expect(await world.stateOf(pin)).toBe('closed');
    }
  });

  it('finds the pin idle when the container died first, and says that exit was skipped', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        pins: {
          ...store.pins,
          change: async (key, change) => {
            if (change.fields.state === 'idle') await held;
            return store.pins.change(key, change);
          },
        },
      }),
    });
    await world.deploy('Basket', { exitHooks: ['cleanUp'] });
    const { pin, container } = await world.alive('Basket', 'a');
    container.die();
    await turns(3);
    const closed = world.close(pin);
    await turns(5);
    letGo();
    expect(await closed).toMatchObject({ closed: true, exitHook: 'skipped' });
    expect(await world.stateOf(pin)).toBe('idle');
    expect(world.worker.gauges.instances).toBe(0);
  });
});

describe('a result that is still being sent', () => {
  it('C10: is waited for by a drain', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    const bytes = encodeValue(large, 'result');
    run.result(large);
    await until(() => call.bytes === inlinePayloadBytes);
    const draining = drained();
    await world.stateBecomes(pin, 'draining');
    await turns(200);
    expect(container.reasons).toEqual([]);
    client.credit(call, bytes.length);
    await until(() => run.credit > 0);
    for (let at = inlinePayloadBytes; at < bytes.length; at += inlinePayloadBytes)
      run.chunk(bytes.subarray(at, at + inlinePayloadBytes));
    expect(await call.value()).toSatisfy(isLarge);
    expect(await draining).toBe(1);
    expect(container.reasons).toEqual(['drain']);
  });

  it('C9: is cut off after exitTimeoutMs, without harm to others in the container', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Packed', { options: { tasksPerContainer: 2, exitTimeoutMs: 3_000 } });
    const a = await world.alive('Packed', 'a');
    await world.alive('Packed', 'b');
    const call = a.client.call('work');
    const run = await a.container.call(1);
    a.container.onCancel = (made) => made.fail(new Error('given up'));
    run.result(large);
    await until(() => call.bytes === inlinePayloadBytes);
    const closed = world.close(a.pin);
    await world.stateBecomes(a.pin, 'closing');
    await world.pass(5_000);
    expect(await call.error()).toMatchObject({ code: 'InstanceClosed', outcome: 'ran' });
    expect((await closed).closed).toBe(true);
    expect(a.container.hasExited).toBe(false);
  });

  it('keeps an instance from falling asleep', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { idleTimeoutMs: 5_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    client.call('work');
    (await container.call(1)).result(large);
    await world.runs(pin, 0);
    await world.pass(20_000);
    expect(await world.stateOf(pin)).toBe('active');
    client.close();
    await until(() => container.calls[0]?.cancelled !== null);
    container.calls[0]?.fail(new Error('given up'));
    await turns(3);
    await world.pass(11_000);
    await world.stateBecomes(pin, 'idle');
    expect(container.reasons).toEqual(['idle']);
  });
});

describe('drain', () => {
  it('C10: is told to the routers at once, and from then on nothing is placed', async () => {
    world = await WorkerWorld.start();
    await world.alive('Basket', 'a');
    const states: string[] = [];
    world.bus.subscribe(allHeartbeatsSubject('default'), ({ payload }) => {
      states.push(WorkerHeartbeat.decode(payload).state);
    });
    const draining = drained();
    await draining;
    await until(() => states.length >= 2);
    expect(new Set(states)).toEqual(new Set(['draining']));
    const next = await world.pinAt('Basket', 'b');
    expect((await world.place(next))[0]).toMatchObject({ code: 'NoCapacity' });
    await world.pass(3_000);
    await until(() => states.length >= 4);
    expect(new Set(states)).toEqual(new Set(['draining']));
  });

  it('C10: waits for an instance that was already on its way here, and releases it too', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        pins: {
          ...store.pins,
          change: async (key, change) => {
            const result = await store.pins.change(key, change);
            if (change.fields.state === 'active') await held;
            return result;
          },
        },
      }),
    });
    const pin = await world.pinAt('Basket', 'a', { onLoss: 'fail' });
    const placed = world.place(pin);
    await world.stateBecomes(pin, 'active');
    const draining = drained();
    await turns(5);
    letGo();
    expect(await placed).toEqual([null]);
    expect(await draining).toBe(1);
    expect(await world.stateOf(pin)).toBe('idle');
    expect(world.worker.gauges.instances).toBe(0);
  });

  it('C10: moves those that wait, lets run what runs, runs exit, and only then lets the pin go', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const running = client.call('work');
    const run = await container.call(1);
    const waiting = client.call('work');
    await world.waits(pin, 1);
    const draining = drained();
    await waiting.moved();
    await client.call('work').moved();
    await world.stateBecomes(pin, 'draining');
    run.result('done');
    expect(await running.value()).toBe('done');
    expect(await draining).toBe(1);
    expect(container.reasons).toEqual(['drain']);
    expect(await world.stateOf(pin)).toBe('idle');
  });

  it('C10: moves calls at once from an instance that is still coming to life', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Basket', 'a');
    const early = client.call('work');
    await world.runs(pin, 1);
    const draining = drained();
    await early.moved();
    await client.call('work').moved();
    container.send(FrameKind.Activated, { slot: 1 });
    expect(await draining).toBe(1);
    expect(await world.stateOf(pin)).toBe('idle');
  });

  it('S3: says where an instance went whose container had just died, before the worker is gone', async () => {
    let failures = 1;
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        pins: {
          ...store.pins,
          change: async (key, change) => {
            if (change.fields.state !== 'idle' || failures-- <= 0) return store.pins.change(key, change);
            throw new HoldfastError('Unavailable', 'the store is away');
          },
        },
      }),
    });
    const { pin, container } = await world.alive('Basket', 'a');
    container.die();
    await turns(3);
    const stopped = world.worker.stop();
    await turns(20);
    // The change is asked for again.
    world.clock.advance(100);
    await stopped;
    expect(await world.stateOf(pin)).toBe('idle');
    expect(world.watchdog.stops).toBe(1);
  });

  it('S7: ends when the lease does, whatever it waits for', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    await world.entering('Basket', 'a');
    const stopped = world.worker.stop();
    await turns(5);
    world.watchdog.die();
    await stopped;
    expect(world.starter.running).toEqual([]);
  });
});

describe('sleep', () => {
  it('frees the container after idleTimeoutMs without a call, runs exit, and forgets its timers', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { idleTimeoutMs: 5_000 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    client.call('work');
    const run = await container.call(1);
    await world.pass(20_000);
    expect(await world.stateOf(pin)).toBe('active');
    run.result('done');
    await world.runs(pin, 0);
    await world.pass(4_000);
    expect(await world.stateOf(pin)).toBe('active');
    await world.pass(2_000);
    await world.stateBecomes(pin, 'idle');
    expect(container.reasons).toEqual(['idle']);
    await client.call('work').moved();
  });

  it('S7: is no crash of the worker when the lease ends under it', async () => {
    let isAway = false;
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        pins: {
          ...store.pins,
          change: async (key, change) => {
            if (isAway) throw new HoldfastError('Internal', 'the store is broken', { outcome: 'unknown' });
            return store.pins.change(key, change);
          },
        },
      }),
    });
    await world.deploy('Basket', { options: { idleTimeoutMs: 5_000 } });
    const { pin } = await world.alive('Basket', 'a');
    await turns(3);
    isAway = true;
    await world.pass(6_000);
    await turns(5);
    await world.worker.abandon();
    await turns(5);
    expect(await world.stateOf(pin)).toBe('active');
  });

  it('leaves no timer behind when an instance is closed long before it would sleep', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { idleTimeoutMs: 3_600_000 } });
    const before = world.clock.timers;
    const pins: Pin[] = [];
    for (const id of ['a', 'b', 'c']) pins.push((await world.alive('Basket', id)).pin);
    for (const pin of pins) await world.close(pin);
    await until(() => world.starter.running.length === 0);
    await world.pass(2_000);
    expect(world.clock.timers).toBe(before);
  });
});
