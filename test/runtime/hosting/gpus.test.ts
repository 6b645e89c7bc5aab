import { afterEach, describe, expect, it } from 'vitest';
import type { PlacementConstraints } from '../../../src/common/manifest.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

async function start(gpuCount: number): Promise<void> {
  world = await WorkerWorld.start({ config: { offer: { gpu: 'L4', gpuCount } } });
}

async function placed(className: string, id: string, placement: PlacementConstraints) {
  await world.deploy(className, { options: { placement } });
  return await world.alive(className, id);
}

const devicesOf = (made: Awaited<ReturnType<typeof placed>>) => made.container.loaded?.env['CUDA_VISIBLE_DEVICES'];

describe('the GPUs of a worker', () => {
  it('are given to one container each, as many as its class asks for, and others see none', async () => {
    await start(4);
    expect(devicesOf(await placed('One', 'a', { minVramGb: 8 }))).toBe('0');
    expect(devicesOf(await placed('Two', 'b', { gpu: 'L4', gpuCount: 2 }))).toBe('1,2');
    expect(devicesOf(await placed('None', 'c', {}))).toBe('');
    expect(devicesOf(await placed('One', 'd', { minVramGb: 8 }))).toBe('3');
    const [refusal] = await world.place(await world.pinAt('One', 'e'));
    expect(refusal).toMatchObject({ code: 'NoCapacity' });
  });

  it('are given back when the process is dead, and not before', async () => {
    await start(1);
    const first = await placed('One', 'a', { gpuCount: 1 });
    first.container.diesAtOnce = false;
    await world.close(first.pin);
    const { pin } = await world.instance('One', 'b');
    await until(() => world.starter.started.length === 2);
    const [, second] = world.starter.started;
    await turns(20);
    expect(second?.loaded).toBeNull();
    first.container.die();
    await until(() => second?.loaded !== null);
    expect(second?.loaded?.env['CUDA_VISIBLE_DEVICES']).toBe('0');
    await world.stateBecomes(pin, 'active');
  });

  it('are no variable of a host that has none', async () => {
    world = await WorkerWorld.start();
    const made = await placed('None', 'a', {});
    expect(made.container.loaded?.env).not.toHaveProperty('CUDA_VISIBLE_DEVICES');
  });
});
