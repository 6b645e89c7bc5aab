import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import type { Bus } from '../../src/common/ports/bus.js';
import { FrameKind } from '../../src/wire/frames/frames.js';
import { turns, until } from './until.js';
import { type ScriptedWatchdog, WorkerWorld } from './worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

describe('the lease of a boot', () => {
  it('S6: is renewed every second, and the watchdog is told', async () => {
    world = await WorkerWorld.start();
    const before = world.watchdog.deadline;
    await world.pass(5_000);
    expect(world.watchdog.deadline).toBeGreaterThanOrEqual(before + 4_000);
    expect(world.worker.over.aborted).toBe(false);
  });

  it('S6: is over for good once it was refused: the containers die, the watchdog is stopped, nothing is placed', async () => {
    world = await WorkerWorld.start();
    const { pin, container } = await world.alive('Basket', 'a');
    await world.store.leases.release(world.worker.bootId);
    world.clock.advance(1_000);
    await until(() => world.worker.over.aborted);
    expect(world.worker.over.reason).toBe('refused');
    await until(() => container.hasExited && world.watchdog.stops === 1);
    expect(world.worker.gauges).toMatchObject({ instances: 0, containers: 0, clients: 0 });
    // The router takes it from here.
    expect(await world.stateOf(pin)).toBe('active');
    world.clock.advance(5_000);
    await turns(20);
    expect(world.worker.refusing).toBe('fenced');
  });

  it('S7: admits nothing when it was not renewed for 11 s, also when no timer has run since', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    world.clock.jump(11_000);
    const call = client.call('work');
    await until(() => world.worker.over.aborted);
    await turns(10);
    expect(world.worker.over.reason).toBe('expired');
    expect(container.calls).toHaveLength(0);
    expect(call.kinds).toEqual([]);
    expect(container.hasExited).toBe(true);
  });

  it('S7: throws answers away that come when it is over', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    const run = await container.call(1);
    world.clock.jump(11_000);
    run.result('too late');
    await until(() => container.hasExited);
    await turns(10);
    expect(call.kinds).toEqual([]);
  });

  // Nobody waits for the answer of the call before them: nothing else asks the clock.
  it('S7: starts no call that has waited for its slot when it is over, also when no timer has run since', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const first = client.call('work', ['runs']);
    client.call('work', ['waits']);
    const run = await container.call(1);
    client.cancel(first);
    expect((await first.error()).code).toBe('Cancelled');
    world.clock.jump(11_000);
    run.result('too late');
    await turns(20);
    expect(container.calls).toHaveLength(1);
    expect(world.worker.over.reason).toBe('expired');
  });

  it('S7: starts no call that has waited for enter when it is over', async () => {
    world = await WorkerWorld.start();
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Basket', 'a');
    client.call('work');
    await world.runs(pin, 1);
    world.clock.jump(11_000);
    container.send(FrameKind.Activated, { slot: 1 });
    await turns(20);
    expect(container.calls).toHaveLength(0);
    expect(world.worker.over.reason).toBe('expired');
  });

  it('S7: sends nothing ahead when it is over', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const quick = client.call('work');
    (await container.call(1)).result('quick');
    await quick.value();
    const first = client.call('work', ['runs']);
    const run = await container.call(2);
    for (let i = 0; i < 40; i += 1) client.call('work', [i]);
    await until(() => container.queued(1) === 32);
    client.cancel(first);
    expect((await first.error()).code).toBe('Cancelled');
    world.clock.jump(11_000);
    run.result('too late');
    await turns(20);
    // Those that it had before are its own to begin; the watchdog ends them.
    expect(container.calls.length + container.queued(1)).toBe(34);
    expect(world.worker.over.reason).toBe('expired');
  });

  it('S7: counts from the moment before the renewal was sent, however late its answer comes', async () => {
    let isSlow = false;
    let sentAt = 0;
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        leases: {
          ...store.leases,
          renew: async (...of) => {
            const now = world?.clock.monotonic() ?? 0;
            const answer = await store.leases.renew(...of);
            if (!isSlow) return answer;
            isSlow = false;
            sentAt = now;
            world.clock.jump(8_000);
            return answer;
          },
        },
      }),
    });
    await world.pass(2_000);
    isSlow = true;
    await world.pass(1_000);
    expect(sentAt).toBe(world.clock.monotonic() - 8_000);
    expect(world.watchdog.deadline).toBe(sentAt + 11_000);
  });

  it('S7: ends with the watchdog, whatever it died of', async () => {
    world = await WorkerWorld.start();
    const { container } = await world.alive('Basket', 'a');
    world.watchdog.die();
    await until(() => container.hasExited);
    expect(world.worker.over.reason).toBe('watchdog-died');
  });

  it('S7: is survived by a store that is away for less than 11 s', async () => {
    let isAway = false;
    world = await WorkerWorld.start({
      storeOf: (store) => ({
        ...store,
        leases: {
          ...store.leases,
          renew: async (...of) => {
            if (isAway) throw new HoldfastError('Unavailable', 'the store is away');
            return store.leases.renew(...of);
          },
        },
      }),
    });
    const { client, container } = await world.alive('Basket', 'a');
    isAway = true;
    for (let s = 0; s < 9; s += 1) {
      world.clock.advance(1_000);
      await turns(5);
    }
    isAway = false;
    await world.pass(2_000);
    const call = client.call('work');
    (await container.call(1)).result('here');
    expect(await call.value()).toBe('here');
  });

  it('S6: is given up where the worker cannot start: nobody else would end it', async () => {
    world = await WorkerWorld.start();
    const watchdogs: ScriptedWatchdog[] = [];
    const started = WorkerWorld.start({
      onWatchdog: (watchdog) => watchdogs.push(watchdog),
      busOf: (bus): Bus => ({
        isConnected: true,
        publish: bus.publish.bind(bus),
        request: bus.request.bind(bus),
        close: bus.close.bind(bus),
        subscribe: () => {
          throw new HoldfastError('Unavailable', 'the bus is closed');
        },
      }),
    });
    await expect(started).rejects.toMatchObject({ code: 'Unavailable', message: 'the bus is closed' });
    expect(watchdogs.map((watchdog) => watchdog.stops)).toEqual([1]);
  });

  it('S7: that ended while the watchdog started leaves nothing behind that answers for the next boot', async () => {
    world = await WorkerWorld.start({ onWatchdog: (_watchdog, clock) => clock.jump(12_000) });
    expect(world.worker.over.reason).toBe('expired');
    await until(() => world.watchdog.stops === 1);
    await expect(world.ask({ $case: 'drain', value: { timeoutMs: 0 } })).rejects.toMatchObject({ code: 'Unavailable' });
  });
});

describe('a bus that refuses what is published', () => {
  it('costs hints only: instances come, run and leave', async () => {
    world = await WorkerWorld.start({
      busOf: (bus): Bus => ({
        isConnected: true,
        publish: () => {
          throw new Error('the connection is closing');
        },
        request: bus.request.bind(bus),
        close: bus.close.bind(bus),
        subscribe: bus.subscribe.bind(bus),
      }),
    });
    const { pin, client, container } = await world.alive('Basket', 'a');
    container.print('nobody hears it');
    const call = client.call('work');
    (await container.call(1)).result('fine');
    expect(await call.value()).toBe('fine');
    expect((await world.close(pin)).closed).toBe(true);
    expect(await world.stateOf(pin)).toBe('closed');
  });
});
