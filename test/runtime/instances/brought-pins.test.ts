import { afterEach, describe, expect, it } from 'vitest';
import type { Store } from '../../../src/common/ports/store.js';
import { FrameKind } from '../../../src/wire/frames/frames.js';
import { encodePin } from '../../../src/wire/pin-record.js';
import { until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

/** A gate that nothing passes before it is opened. */
function gate(): { readonly open: () => void; readonly passed: Promise<void>; asked: number } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed, asked: 0 };
}

/** The store, where changes of pins to `active` wait for the gate. */
function gated(store: Store, at: ReturnType<typeof gate>): Store {
  const change: Store['pins']['change'] = async (key, what) => {
    if (what.fields.state === 'active') {
      at.asked += 1;
      await at.passed;
    }
    return store.pins.change(key, what);
  };
  return { ...store, pins: { ...store.pins, change } };
}

async function startGated(): Promise<ReturnType<typeof gate>> {
  const at = gate();
  world = await WorkerWorld.start({ storeOf: (store) => gated(store, at) });
  return at;
}

describe('a pin that a client brings', () => {
  it('S5: is made active before enter and before the call is admitted', async () => {
    const at = await startGated();
    const states: Promise<string>[] = [];
    const pin = await world.pinAt('Basket', 'a');
    world.starter.prepare = (container) => {
      container.onActivate = (slot) => {
        states.push(world.stateOf(pin));
        container.send(FrameKind.Activated, { slot });
      };
    };
    const client = world.client();
    client.bind(1, world.bound(pin, { brings: true }));
    const answers = client.call('work');
    await until(() => at.asked === 1);
    expect(await world.describe(pin)).toBeNull();
    expect(world.starter.asked).toBe(0);
    at.open();
    const container = await world.starter.container(1);
    (await container.call(1)).result('done');
    expect(await answers.value()).toBe('done');
    expect(await Promise.all(states)).toEqual(['active']);
  });

  it('S5: is activated once, however many clients bring it and routers ask for it', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const clients = [world.client(), world.client(), world.client()];
    const answers = clients.map((client) => {
      client.bind(1, world.bound(pin, { brings: true }));
      return client.call('look');
    });
    const asked = world.place(pin);
    await until(() => at.asked === 1);
    at.open();
    expect(await asked).toEqual([null]);
    const container = await world.starter.container(1);
    for (const n of [1, 2, 3]) (await container.call(n)).result(n);
    expect(new Set(await Promise.all(answers.map((each) => each.value())))).toEqual(new Set([1, 2, 3]));
    expect(at.asked).toBe(1);
    expect(world.starter.asked).toBe(1);
  });

  it('C2: has the calls that came before it in their order', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(pin, { brings: true }));
    const answers = [1, 2, 3].map(() => client.call('work'));
    await until(() => at.asked === 1);
    at.open();
    const container = await world.starter.container(1);
    for (const n of [1, 2, 3]) (await container.call(n)).result(n);
    expect(await Promise.all(answers.map((each) => each.value()))).toEqual([1, 2, 3]);
  });

  it('S5: is refused where the pin has moved on, and its calls look for the new place', async () => {
    world = await WorkerWorld.start();
    const old = await world.pinAt('Basket', 'a');
    await world.place(old);
    (await world.starter.container(1)).die();
    await world.stateBecomes(old, 'idle');
    await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(old, { brings: true }));
    await client.call('work').moved();
    expect(await world.stateOf(old)).toBe('placing');
  });

  it('S5: is refused where there is no room, and nothing was started', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 1 } });
    await world.alive('Basket', 'a');
    const pin = await world.pinAt('Basket', 'b');
    const client = world.client();
    client.bind(1, world.bound(pin, { brings: true }));
    await client.call('work').moved();
    expect(await world.stateOf(pin)).toBe('placing');
  });

  it('S5: is no affair of another boot', async () => {
    world = await WorkerWorld.start();
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound({ ...pin, bootId: 'another' as typeof pin.bootId }, { brings: true }));
    await client.call('work').moved();
    expect(await world.stateOf(pin)).toBe('placing');
  });

  it('S12: is what its router has signed, or nothing is made of it', async () => {
    world = await WorkerWorld.start();
    const pin = await world.pinAt('Basket', 'a');
    const forged = encodePin({ ...pin, args: Buffer.from('other') });
    const client = world.client();
    client.bind(1, { ...world.bound(pin, { brings: true }), pin: forged });
    client.bind(2, { ...world.bound(pin), pin: encodePin(pin) });
    expect(await client.call('work').error()).toMatchObject({ code: 'PermissionDenied' });
    expect(await client.call('work', [], { slot: 2 }).error()).toMatchObject({ code: 'PermissionDenied' });
    expect(await world.stateOf(pin)).toBe('placing');
  });

  it('C5: comes to life without the calls of a client that cancelled them or is gone', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const [client, gone] = [world.client(), world.client()];
    for (const each of [client, gone]) each.bind(1, world.bound(pin, { brings: true }));
    const cancelled = client.call('work');
    const stays = client.call('work');
    gone.call('work');
    await until(() => at.asked === 1);
    client.cancel(cancelled);
    gone.close();
    expect(await cancelled.error()).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    at.open();
    const container = await world.starter.container(1);
    (await container.call(1)).result('only one');
    expect(await stays.value()).toBe('only one');
    expect(container.calls).toHaveLength(1);
  });

  it('C4: counts the time of a call that waits for it', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(pin, { brings: true }));
    const late = client.call('work', [], { remainingMs: 500 });
    await until(() => at.asked === 1);
    await world.pass(600, 100);
    expect(await late.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'not-run' });
    at.open();
  });

  it('keeps no calls of others from going on where one of them breaks the protocol', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const [hostile, client] = [world.client(), world.client()];
    for (const each of [hostile, client]) each.bind(1, world.bound(pin, { brings: true }));
    hostile.call('work', [], { meta: { attempt: 'first' } as never });
    await until(() => hostile.lost !== null);
    const stays = client.call('work');
    await until(() => at.asked === 1);
    at.open();
    const container = await world.starter.container(1);
    (await container.call(1)).result('done');
    expect(await stays.value()).toBe('done');
  });

  it('S7: admits nothing where the boot was over before the pin was active', async () => {
    const at = await startGated();
    const pin = await world.pinAt('Basket', 'a');
    const client = world.client();
    client.bind(1, world.bound(pin, { brings: true }));
    client.call('work');
    await until(() => at.asked === 1);
    await world.worker.abandon();
    at.open();
    expect(world.starter.asked).toBe(0);
  });
});
