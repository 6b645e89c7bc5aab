import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../src/common/errors.js';
import type { Transport } from '../../src/common/ports/channel.js';
import type { Variables } from '../../src/common/secret.js';
import { FetchSecretsReply, FetchSecretsRequest } from '../../src/wire/gen/holdfast/v1/router.js';
import { WorkerWorld } from './worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const secrets = [{ name: 'TOKEN' }];
let asked: FetchSecretsRequest[];

/** A worker whose router answers this. */
async function start(answer: () => Variables): Promise<void> {
  asked = [];
  const unary: Transport['unary'] = async (method, request) => {
    if (method !== 'FetchSecrets') throw new Error(`${method} was not expected`);
    asked.push(FetchSecretsRequest.decode(request));
    return FetchSecretsReply.encode({ variables: { ...answer() }, mounts: {} }).finish();
  };
  const none = (): never => {
    throw new Error('this test opens no channels');
  };
  world = await WorkerWorld.start({
    transport: () => ({ unary, openRouter: none, openWorker: none, close: async () => undefined }),
    config: { containerEnv: { ZONE: 'a', TOKEN: 'of the host' } },
  });
}

describe('a class that names secrets', () => {
  it('has them in the environment of its containers before its bundle is loaded, over what the host gives', async () => {
    await start(() => ({ TOKEN: 'plain-4711' }));
    await world.deploy('Model', { options: { secrets } });
    const { container, pin } = await world.alive('Model', 'a');
    expect(container.loaded?.env).toEqual({ ZONE: 'a', TOKEN: 'plain-4711' });
    expect(asked).toEqual([{ key: pin.key, epoch: pin.epoch, bootId: world.worker.bootId, mountSecrets: [] }]);
  });

  it('is not placed where one is missing: the refusal names it, and no container was touched', async () => {
    await start(() => {
      throw new HoldfastError('NotFound', "demo/Model/a needs secret 'TOKEN', which is not there");
    });
    await world.deploy('Model', { options: { secrets } });
    const pin = await world.pinAt('Model', 'a');
    expect(await world.place(pin)).toMatchObject([{ code: 'NotFound', message: expect.stringContaining('TOKEN') }]);
    expect(await world.stateOf(pin)).toBe('placing');
    expect(world.starter.asked).toBe(0);
  });

  it('shares what its container started with, and a new container has what is set now', async () => {
    let sets = 0;
    await start(() => ({ TOKEN: `value-${++sets}` }));
    await world.deploy('Packed', { options: { secrets, tasksPerContainer: 2 } });
    const first = await world.alive('Packed', 'a');
    const second = await world.alive('Packed', 'b');
    const third = await world.alive('Packed', 'c');
    expect(second.container).toBe(first.container);
    expect(first.container.loaded?.env['TOKEN']).toBe('value-1');
    expect(third.container.loaded?.env['TOKEN']).toBe('value-2');
    expect(asked).toHaveLength(2);
  });

  it('asks nobody where it names none', async () => {
    await start(() => ({}));
    await world.deploy('Plain');
    const { container } = await world.alive('Plain', 'a');
    expect(container.loaded?.env).toEqual({ ZONE: 'a', TOKEN: 'of the host' });
    expect(asked).toEqual([]);
  });
});
