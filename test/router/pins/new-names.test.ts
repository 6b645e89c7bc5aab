import { afterEach, describe, expect, it } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { PinStore } from '../../../src/common/ports/store.js';
import { encodeArgs, hashArgs } from '../../../src/wire/codec/codec.js';
import { classManifest } from '../bus-worker.js';
import { account, type ControlClient, Harness, refusal } from '../harness.js';

let cluster: Harness;
let client: ControlClient;
let reads: number;

afterEach(() => cluster[Symbol.asyncDispose]());

/** A router that counts how often it looks for pins. */
async function start(): Promise<void> {
  cluster = await Harness.start({ workers: 1, routers: 0, classes: [classManifest('Counter')] });
  reads = 0;
  const pins: PinStore = {
    ...cluster.store.pins,
    getMany: (keys) => {
      reads += keys.length;
      return cluster.store.pins.getMany(keys);
    },
  };
  client = cluster.client(cluster.addRouter({ store: { ...cluster.store, pins } }));
}

/** So many that the next one is expected to be new as well. */
async function makeMany(): Promise<void> {
  for (let i = 0; i < 8; i += 1) await client.create(`new-${i}`);
  expect(reads).toBe(8);
}

describe('a name in a class whose names were all new', () => {
  it('is made without being looked for', async () => {
    await start();
    await makeMany();
    await client.create('a', [1]);
    expect(reads).toBe(8);
    const key = instanceKey({ account, app: 'shop', className: 'Counter', id: 'a' });
    expect(await cluster.store.pins.get(key)).toMatchObject({ state: 'active', argsHash: hashArgs(encodeArgs([1])) });
  });

  it('S1: is found where it is there, and others of the class are looked for again', async () => {
    await start();
    const elsewhere = cluster.client(cluster.addRouter());
    const there = await elsewhere.create('there', [1]);
    await makeMany();
    await expect(client.create('there')).resolves.toMatchObject({ epoch: there.epoch, address: there.address });
    await client.create('there');
    expect(reads).toBe(9);
    expect(cluster.workers[0]?.activated.filter(({ identity }) => identity.id === 'there')).toHaveLength(1);
  });

  it('S1: conflicts where it is there with other arguments', async () => {
    await start();
    await cluster.client(cluster.addRouter()).create('there', [1]);
    await makeMany();
    expect(await refusal(client.create('there', [2]))).toMatchObject({ code: 'InstanceConflict' });
  });

  it('is found where it is there and no worker has room', async () => {
    await start();
    const there = await cluster.client(cluster.addRouter()).create('there');
    await makeMany();
    const [worker] = cluster.workers;
    const [router] = cluster.routers;
    if (worker === undefined || router === undefined) throw new Error('there is one of each');
    worker.heartbeatState = { maxContainers: 0 };
    worker.beat();
    while ([...router.workers.candidates(account)].some(({ maxContainers }) => maxContainers > 0)) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(client.create('there', undefined, 5_000)).resolves.toMatchObject({ epoch: there.epoch });
    expect(reads).toBe(9);
  });
});
