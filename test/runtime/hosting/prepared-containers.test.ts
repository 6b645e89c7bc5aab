import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import type { WorkerConfig } from '../../../src/runtime/worker-options.js';
import { encodeError } from '../../../src/wire/errors.js';
import { FrameKind } from '../../../src/wire/frames/frames.js';
import { WorkerHeartbeat } from '../../../src/wire/gen/holdfast/v1/bus.js';
import { FetchSecretsReply } from '../../../src/wire/gen/holdfast/v1/router.js';
import { allHeartbeatsSubject, heartbeatRequestSubject } from '../../../src/wire/subjects.js';
import { momentUntil, preparedOf } from '../prepared.js';
import type { ScriptedContainer } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const mostWarm = 8;
const image = 'a'.repeat(64);

async function start(config: Partial<WorkerConfig> = {}): Promise<void> {
  const unary = async (): Promise<Uint8Array> =>
    FetchSecretsReply.encode({ variables: { TOKEN: 'x' }, mounts: {} }).finish();
  const none = (): never => {
    throw new Error('this test opens no channels');
  };
  world = await WorkerWorld.start({
    config: { warmContainers: 1, ...config },
    transport: () => ({ unary, openRouter: none, openWorker: none, close: async () => undefined }),
  });
  await until(() => world.starter.running.length === 1);
}

function startIsolated(): Promise<void> {
  return start({ isolation: 'bubblewrap', maxContainers: 20 });
}

function prepared(): ScriptedContainer[] {
  return preparedOf(world);
}

function classes(): (string | undefined)[] {
  return prepared().map(({ loaded }) => loaded?.className);
}

function withoutClass(): ScriptedContainer[] {
  return world.starter.running.filter(({ loaded }) => loaded === null);
}

/** For each class that has room, as the worker tells routers. */
async function openPlaces(): Promise<number[]> {
  const told: WorkerHeartbeat[] = [];
  const heard = world.bus.subscribe(allHeartbeatsSubject('default'), ({ payload }) => {
    told.push(WorkerHeartbeat.decode(payload));
  });
  world.bus.publish(heartbeatRequestSubject('default'), new Uint8Array());
  await until(() => told.length > 0);
  heard.unsubscribe();
  return Object.values(told[0]?.openPlaces ?? {});
}

function eventually(holds: () => boolean): Promise<void> {
  return momentUntil(world, holds);
}

/** For showing that nothing more is done. */
async function settle(): Promise<void> {
  world.clock.advance(100);
  await turns(100);
}

describe('prepared containers', () => {
  it('have the class that two were needed for, and the next instance of it starts in one of them', async () => {
    await start();
    await world.alive('Basket', 'a');
    await settle();
    expect(prepared()).toEqual([]);
    await world.alive('Basket', 'b');
    await eventually(() => prepared().length === 1);
    const [ready] = prepared();
    expect(ready?.loaded).toMatchObject({ className: 'Basket', env: {} });
    const { container } = await world.alive('Basket', 'c');
    expect(container).toBe(ready);
    expect(withoutClass()).toHaveLength(1);
  });

  it('never serve another class, nor another deployment of theirs', async () => {
    await start();
    for (const id of ['a', 'b']) await world.alive('Basket', id);
    await eventually(() => prepared().length === 1);
    const [ready] = prepared();
    const other = await world.alive('Other', 'a');
    await world.redeploy('Basket');
    const next = await world.alive('Basket', 'c');
    expect(next.container.loaded?.deployment).not.toBe(ready?.loaded?.deployment);
    expect([other.container, next.container]).not.toContain(ready);
    expect(prepared()).toContain(ready);
  });

  it('are told of as places of their class, as many as may still run', async () => {
    await start({ maxContainers: 4 });
    for (const id of ['a', 'b']) await world.alive('Basket', id);
    await eventually(() => prepared().length === 1);
    expect(await openPlaces()).toEqual([1]);
    await world.alive('Basket', 'c');
    await eventually(() => prepared().length === 2);
    expect(await openPlaces()).toEqual([1]);
    await world.alive('Basket', 'd');
    expect(await openPlaces()).toEqual([]);
  });

  it('are told of as places where the host has the memory that they may need', async () => {
    await start({ maxContainers: 20 });
    await world.deploy('Basket', { options: { memoryMb: 1_024 } });
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) await world.alive('Basket', id);
    await eventually(() => prepared().length >= 5);
    expect(await openPlaces()).toEqual([4]);
  });

  it.each([
    ['with secrets, which it gets as they are when an instance comes', { secrets: [{ name: 'TOKEN' }] }],
    ['that needs a larger heap than warm ones have', { memoryMb: 4_096 }],
  ])('are none for a class %s', async (_, options) => {
    await start();
    await world.deploy('Basket', { options });
    for (const id of ['a', 'b', 'c']) await world.alive('Basket', id);
    for (const id of ['a', 'b']) await world.alive('Plain', id);
    // They come after those that are wanted more.
    await eventually(() => classes().includes('Plain'));
    expect(classes()).not.toContain('Basket');
  });

  it('are at most eight with those that have no class, of which one stays without, and go when nobody asks', async () => {
    await start({ maxContainers: 20 });
    for (let n = 0; n < 12; n += 1) await world.alive(n % 2 === 0 ? 'Basket' : 'Other', `i${n}`);
    await eventually(() => prepared().length === mostWarm - 1 && withoutClass().length === 1);
    await settle();
    expect([prepared().length, withoutClass().length]).toEqual([mostWarm - 1, 1]);
    expect(new Set(classes())).toEqual(new Set(['Basket', 'Other']));
    await world.pass(20_000);
    await eventually(() => prepared().length === 0 && withoutClass().length === 1);
  });

  it('that die are given up, until the class is asked for again', async () => {
    await start();
    for (const id of ['a', 'b']) await world.alive('Basket', id);
    await eventually(() => prepared().length === 1);
    prepared()[0]?.die();
    await settle();
    await world.alive('Other', 'a');
    await eventually(() => classes().includes('Other'));
    expect(classes()).not.toContain('Basket');
    for (const id of ['c', 'd']) await world.alive('Basket', id);
    await eventually(() => classes().includes('Basket'));
  });

  it('that cannot load the class are given up, and nobody is told', async () => {
    await start();
    await world.alive('Basket', 'a');
    await eventually(() => withoutClass().length === 1);
    world.starter.prepare = (container) => {
      const error = new HoldfastError('ActivationFailed', 'its module throws');
      container.onLoad = () => container.send(FrameKind.LoadFailed, { body: encodeError(error) });
    };
    const healthy = world.starter.running;
    const { client, container } = await world.alive('Basket', 'b');
    await eventually(() => world.starter.started.some(({ kills }) => kills > 0));
    await settle();
    expect(prepared()).toEqual([]);
    const answer = client.call('work');
    (await container.call(1)).result('fine');
    expect(await answer.value()).toBe('fine');
    expect(healthy).toContain(container);
  });

  it('of an image are started with it, in place of warm ones, and the next instance has one of them', async () => {
    await startIsolated();
    await world.deploy('Imaged', { options: { image } });
    const first = await world.alive('Imaged', 'a');
    expect(first.container.own).toMatchObject({ image: { id: image } });
    await world.alive('Imaged', 'b');
    await eventually(() => prepared().length === 1 && withoutClass().length === 1);
    const [ready] = prepared();
    expect([ready?.loaded?.className, ready?.own]).toEqual(['Imaged', first.container.own]);
    expect((await world.alive('Imaged', 'c')).container).toBe(ready);
    expect((await world.alive('Plain', 'p')).container.own).toBeNull();
  });

  it('of an image take turns with those of other classes, are at most eight with them, and go when nobody asks', async () => {
    await startIsolated();
    await world.deploy('Imaged', { options: { image } });
    for (let n = 0; n < 12; n += 1) await world.alive(n % 2 === 0 ? 'Imaged' : 'Plain', `i${n}`);
    await eventually(() => prepared().length === mostWarm - 1 && withoutClass().length === 1);
    await settle();
    expect([prepared().length, withoutClass().length]).toEqual([mostWarm - 1, 1]);
    expect(new Set(classes())).toEqual(new Set(['Imaged', 'Plain']));
    expect(prepared().every(({ own, loaded }) => (own !== null) === (loaded?.className === 'Imaged'))).toBe(true);
    await world.pass(20_000);
    await eventually(() => prepared().length === 0 && withoutClass().length === 1);
  });

  it('of an image that cannot be started are given up, and the others are there', async () => {
    await startIsolated();
    await world.deploy('Imaged', { options: { image } });
    for (const id of ['a', 'b']) await world.alive('Imaged', id);
    await eventually(() => prepared().length === 1);
    world.starter.beforeStart = async (_, own) => {
      if (own !== null) throw new HoldfastError('ActivationFailed', 'the image did not come');
    };
    await world.alive('Imaged', 'c');
    for (const id of ['a', 'b']) await world.alive('Plain', id);
    await eventually(() => classes().includes('Plain'));
    await settle();
    expect(classes()).not.toContain('Imaged');
  });

  it.each([
    ['with secrets', { image, secrets: [{ name: 'TOKEN' }] }],
    ['that needs more memory than others', { image, memoryMb: 4_096 }],
  ])('are none for an image of a class %s', async (_, options) => {
    await startIsolated();
    await world.deploy('Imaged', { options });
    for (const id of ['a', 'b', 'c']) await world.alive('Imaged', id);
    await settle();
    expect([prepared(), withoutClass().length]).toEqual([[], 1]);
  });
});
