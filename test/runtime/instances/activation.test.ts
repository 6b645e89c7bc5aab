import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import type { Store } from '../../../src/common/ports/store.js';
import { encodeReference } from '../../../src/wire/codec/codec.js';
import { encodeError } from '../../../src/wire/errors.js';
import { FrameKind } from '../../../src/wire/frames/frames.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

/** The store, where a test holds or breaks the changes of pins that the worker asks for. */
function withChanges(store: Store, around: (change: () => Promise<unknown>, to: string) => Promise<unknown>): Store {
  const change = ((key, what) =>
    around(() => store.pins.change(key, what), what.fields.state)) as Store['pins']['change'];
  return { ...store, pins: { ...store.pins, change } };
}

describe('placing an instance', () => {
  it('S5: makes the pin active before enter runs, and answers a repeated request without another activation', async () => {
    world = await WorkerWorld.start();
    const states: Promise<string>[] = [];
    await world.deploy('Basket');
    const pin = await world.pinAt('Basket', 'a');
    world.starter.prepare = (container) => {
      container.onActivate = (slot) => {
        states.push(world.stateOf(pin));
        container.send(FrameKind.Activated, { slot });
      };
    };
    expect(await world.place(pin)).toEqual([null]);
    expect(await world.place(pin)).toEqual([null]);
    const client = world.client();
    client.bind(1, world.bound(pin));
    client.call('work');
    await (await world.starter.container(1)).call(1);
    expect(await Promise.all(states)).toEqual(['active']);
    expect(world.starter.asked).toBe(1);
  });

  it('S5: activates once where requests come together, also when they waited for one that was refused', async () => {
    let failures = 1;
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        apps: {
          ...store.apps,
          get: async (...of) => {
            await turns(3);
            if (failures-- > 0) throw new HoldfastError('Unavailable', 'the store is away');
            return store.apps.get(...of);
          },
        },
      }),
    });
    const pin = await world.pinAt('Basket', 'a');
    const refusals = await Promise.all([1, 2, 3, 4].map(() => world.place(pin)));
    expect(refusals.flat().map((refusal) => refusal?.code ?? null)).toEqual(['Unavailable', null, null, null]);
    const container = await world.starter.container(1);
    await until(() => container.slots.size > 0);
    await turns(10);
    expect(world.starter.asked).toBe(1);
  });

  it('S5: refuses an older epoch than the pin has, and another one than it runs', async () => {
    world = await WorkerWorld.start();
    const pin = await world.pinAt('Basket', 'a');
    await world.place(pin);
    const [other] = await world.place({ ...pin, epoch: pin.epoch - 1 });
    expect(other).toMatchObject({ code: 'NoCapacity' });
    (await world.starter.container(1)).die();
    await world.stateBecomes(pin, 'idle');
    const next = await world.pinAt('Basket', 'a');
    const [older] = await world.place(pin);
    expect(older).toMatchObject({ code: 'NoCapacity' });
    expect(await world.place(next)).toEqual([null]);
    expect(next.epoch).toBeGreaterThan(pin.epoch);
  });

  it('S5: gives away no more places than its containers have, however many requests come in one message', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 2 } });
    const pins = [];
    for (const id of ['a', 'b', 'c', 'd']) pins.push(await world.pinAt('Basket', id));
    const refusals = await world.place(...pins);
    expect(refusals.map((refusal) => refusal?.code ?? 'active')).toEqual([
      'active',
      'active',
      'NoCapacity',
      'NoCapacity',
    ]);
    expect(await Promise.all(pins.map((pin) => world.stateOf(pin)))).toEqual([
      'active',
      'active',
      'placing',
      'placing',
    ]);
  });

  it('S5: puts as many instances of a packed class into a container as it may hold, and no more', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 2 } });
    await world.deploy('Packed', { options: { tasksPerContainer: 3 } });
    const letGo = world.starter.hold();
    const pins = [];
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) pins.push(await world.pinAt('Packed', id));
    const refusals = await world.place(...pins);
    expect(refusals.map((refusal) => refusal?.code ?? 'active')).toEqual([
      ...new Array(6).fill('active'),
      'NoCapacity',
    ]);
    letGo();
    await until(() => world.starter.started.length === 2);
    await until(() => world.starter.started.reduce((sum, container) => sum + container.slots.size, 0) === 6);
    expect(world.starter.started.map((container) => container.slots.size)).toEqual([3, 3]);
  });

  it('S5: fills a place that was left in a packed container again, and only that one', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 1 } });
    await world.deploy('Packed', { options: { tasksPerContainer: 2 } });
    const [a, b] = [await world.pinAt('Packed', 'a'), await world.pinAt('Packed', 'b')];
    expect(await world.place(a, b)).toEqual([null, null]);
    await world.close(a);
    const [c, d] = [await world.pinAt('Packed', 'c'), await world.pinAt('Packed', 'd')];
    expect((await world.place(c, d)).map((refusal) => refusal?.code ?? 'active')).toEqual(['active', 'NoCapacity']);
    expect(world.starter.asked).toBe(1);
    for (const pin of [b, c]) await world.close(pin);
    await until(() => world.starter.running.length === 0);
  });

  it('S5: gives the room of a placement that was refused to the next one', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 1 } });
    const pin = await world.pinAt('Basket', 'a');
    expect((await world.place({ ...pin, epoch: pin.epoch - 1 }))[0]).toMatchObject({ code: 'NoCapacity' });
    expect(await world.place(pin)).toEqual([null]);
  });

  it('S7: makes nothing of a pin that became active when the boot was over', async () => {
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    world = await WorkerWorld.start({
      storeOf: (store) =>
        withChanges(store, async (change, to) => {
          const result = await change();
          if (to === 'active') await held;
          return result;
        }),
    });
    const pin = await world.pinAt('Basket', 'a');
    const placed = world.place(pin).catch(() => null);
    await world.stateBecomes(pin, 'active');
    await world.worker.abandon();
    letGo();
    await turns(20);
    expect(world.starter.asked).toBe(0);
    expect(world.worker.gauges.instances).toBe(0);
    void placed;
  });

  it('S4: asks for a change again under the same opId, whatever went wrong, until the store answers', async () => {
    const asked: string[] = [];
    let failures = 3;
    world = await WorkerWorld.start({
      storeOf: (store) => {
        const change = (async (key, what) => {
          asked.push(what.opId);
          const result = await store.pins.change(key, what);
          if (failures-- <= 0) return result;
          // The keeper sleeps by then.
          setImmediate(() => world.clock.advance(1_000));
          throw new HoldfastError('Internal', 'the store answered nonsense', { outcome: 'unknown' });
        }) as Store['pins']['change'];
        return { ...store, pins: { ...store.pins, change } };
      },
    });
    const pin = await world.pinAt('Basket', 'a');
    expect(await world.place(pin)).toEqual([null]);
    expect(new Set(asked).size).toBe(1);
    expect(asked).toHaveLength(4);
  });
});

describe('an activation that fails', () => {
  it('C3: tells those who wait why, sets the pin to idle and frees the container; the next placement tries anew', async () => {
    world = await WorkerWorld.start();
    let fails = true;
    world.starter.prepare = (container) => {
      container.onActivate = (slot) => {
        if (!fails) return container.send(FrameKind.Activated, { slot });
        const error = new HoldfastError('ActivationFailed', 'enter threw', { cause: new Error('no database') });
        container.send(FrameKind.ActivationFailed, { slot, body: encodeError(error) });
      };
    };
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(pin));
    const letGo = world.starter.hold();
    expect(await world.place(pin)).toEqual([null]);
    const call = client.call('work');
    await world.runs(pin, 1);
    letGo();
    expect(await call.error()).toMatchObject({ code: 'ActivationFailed', outcome: 'not-run' });
    expect(await world.stateOf(pin)).toBe('idle');
    await until(() => world.starter.running.length === 0);
    expect(world.worker.gauges).toMatchObject({ instances: 0, containers: 0 });
    fails = false;
    const next = await world.instance('Basket', 'a');
    next.client.call('work');
    await (await world.starter.container(2)).call(1);
  });

  it('C3: a bundle that never finishes loading ends with startupTimeoutMs, and its container with it', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { startupTimeoutMs: 60_000 } });
    world.starter.prepare = (container) => {
      container.onLoad = () => undefined;
    };
    const { pin, client } = await world.instance('Basket', 'a');
    const call = client.call('work');
    const container = await world.starter.container(1);
    await turns(10);
    await world.pass(61_000);
    expect(await call.error()).toMatchObject({ code: 'ActivationFailed', details: { startupTimeoutMs: 60_000 } });
    expect(await world.stateOf(pin)).toBe('idle');
    expect(container.hasExited).toBe(true);
  });

  it('C3: arguments that the object store never gives end it with startupTimeoutMs too', async () => {
    let isAsked = false;
    world = await WorkerWorld.start({
      objectsOf: (objects) => ({
        ...objects,
        get: (key) => {
          if (!key.startsWith('args/')) return objects.get(key);
          isAsked = true;
          return new Promise(() => undefined);
        },
      }),
    });
    const pin = await world.pinAt('Basket', 'a', { args: encodeReference('args/0123') });
    expect(await world.place(pin)).toEqual([null]);
    const client = world.client();
    client.bind(1, world.bound(pin));
    const call = client.call('work');
    await until(() => isAsked);
    await turns(5);
    await world.pass(62_000);
    const late = await call.error();
    expect(late.message).toMatch(/Basket\/a did not start: fetching the arguments took longer than startupTimeoutMs/);
    expect(late.outcome).toBe('not-run');
    expect(await world.stateOf(pin)).toBe('idle');
  });

  it('S8: sets the pin to idle only when the container is gone in which enter took too long', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { startupTimeoutMs: 10_000 } });
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
      container.diesAtOnce = false;
    };
    const { pin } = await world.instance('Basket', 'a');
    const container = await world.starter.container(1);
    await until(() => container.slots.size === 1);
    await world.pass(11_000);
    await until(() => container.kills > 0);
    await turns(20);
    expect(await world.stateOf(pin)).toBe('active');
    container.die();
    await world.stateBecomes(pin, 'idle');
  });

  it('C4: a packed container that does not even answer after startupTimeoutMs is killed, so that nothing comes into it', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Packed', { options: { tasksPerContainer: 5, startupTimeoutMs: 10_000, exitTimeoutMs: 2_000 } });
    const first = await world.instance('Packed', 'a');
    const container = await world.starter.container(1);
    await until(() => container.slots.size === 1);
    // From here on its event loop is blocked, say.
    container.onActivate = () => undefined;
    container.onDeactivate = () => undefined;
    const { pin } = await world.instance('Packed', 'b');
    await until(() => container.slots.size === 2);
    await world.pass(15_000);
    await until(() => container.hasExited);
    await world.stateBecomes(first.pin, 'idle');
    await world.stateBecomes(pin, 'idle');
    await until(() => world.worker.gauges.instances === 0);
    expect(world.worker.gauges.containers).toBe(0);
  });

  it('frees the slot of nobody and hangs nobody when its container dies under enter', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => container.die({ outOfMemory: true });
    };
    const letGo = world.starter.hold();
    const { pin, client } = await world.instance('Basket', 'a');
    const call = client.call('work');
    await world.runs(pin, 1);
    letGo();
    expect((await call.error()).code).toBe('OutOfMemory');
    expect(await world.stateOf(pin)).toBe('idle');
    expect(world.worker.gauges).toMatchObject({ instances: 0, containers: 0 });
  });

  it('S3: an instance whose container dies in the moment in which enter ended is no zombie', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      // In one batch: the worker kills it while it still reads that enter has ended.
      container.onActivate = (slot) => {
        container.stream.writer.frame(FrameKind.Activated, 0, slot);
        container.send(FrameKind.Log, { body: Buffer.from('no msgpack') });
      };
    };
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(pin));
    await world.place(pin);
    expect((await client.call('work').answered()).kinds).toHaveLength(1);
    await until(() => world.worker.gauges.instances === 0);
    expect(await world.stateOf(pin)).toBe('idle');
  });

  it('tells the callers of a container that does not start, and goes on with the next', async () => {
    world = await WorkerWorld.start();
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    world.starter.beforeStart = async (nth) => {
      await held;
      if (nth === 1) throw new HoldfastError('Unavailable', 'container c1 did not start');
    };
    const first = await world.instance('Basket', 'a');
    const call = first.client.call('work');
    await world.runs(first.pin, 1);
    letGo();
    const error = await call.error();
    expect(error).toMatchObject({ code: 'Unavailable', outcome: 'not-run' });
    await world.stateBecomes(first.pin, 'idle');
    const second = await world.instance('Basket', 'a');
    second.client.call('work');
    await (await world.starter.container(1)).call(1);
    expect(world.worker.gauges.containers).toBe(1);
  });

  it('tells the callers where the limits cannot be put on a container, and kills it', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onLimit = () => {
        throw new HoldfastError('OutOfMemory', 'an idle container takes more than that');
      };
    };
    const letGo = world.starter.hold();
    const { pin, client } = await world.instance('Basket', 'a');
    const call = client.call('work');
    await world.runs(pin, 1);
    letGo();
    expect(await call.error()).toMatchObject({ code: 'OutOfMemory' });
    await world.stateBecomes(pin, 'idle');
    await until(() => world.starter.running.length === 0);
  });

  it('tells the callers where the bundle cannot be had, and fetches it anew the next time', async () => {
    world = await WorkerWorld.start({
      objectsOf: (objects) => ({
        ...objects,
        get: async (key) => {
          if (isAway) throw new HoldfastError('Unavailable', 'the object store is away');
          return objects.get(key);
        },
      }),
    });
    let isAway = true;
    const letGo = world.starter.hold();
    const first = await world.instance('Basket', 'a');
    const call = first.client.call('work');
    await world.runs(first.pin, 1);
    letGo();
    expect(await call.error()).toMatchObject({ code: 'Unavailable' });
    await world.stateBecomes(first.pin, 'idle');
    await until(() => world.starter.running.length === 0);
    isAway = false;
    const second = await world.instance('Basket', 'a');
    second.client.call('work');
    await (await world.starter.container(2)).call(1);
  });
});

describe('warm containers', () => {
  it('are taken only while they live, also when the news of a death is still on its way', async () => {
    world = await WorkerWorld.start({ config: { warmContainers: 2 } });
    await until(() => world.starter.started.length === 2);
    await turns(2);
    const [first] = world.starter.started;
    first?.hangUp();
    await turns(3);
    const { client } = await world.instance('Basket', 'a');
    client.call('work');
    await (await world.starter.container(2)).call(1);
  });

  it('C10: are gone, as are those that were being started, when the worker has stopped', async () => {
    world = await WorkerWorld.start({ config: { warmContainers: 1 } });
    await until(() => world.starter.started.length === 1);
    const letGo = world.starter.hold();
    await world.instance('Basket', 'a');
    await world.instance('Basket', 'b');
    await until(() => world.starter.asked >= 2);
    const stopped = world.worker.abandon();
    await turns(200);
    // The lease is not released before the last of them is gone.
    expect(world.watchdog.stops).toBe(0);
    letGo();
    await stopped;
    expect(world.starter.running).toEqual([]);
  });
});
