import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { PinView } from '../../../src/wire/gen/holdfast/v1/router.js';
import { verifyGrant } from '../../../src/wire/grant.js';
import { decodePin } from '../../../src/wire/pin-record.js';
import { type BusWorker, classManifest } from '../bus-worker.js';
import { account, type ControlClient, Harness, shortLeases } from '../harness.js';

let cluster: Harness;
let client: ControlClient;

afterEach(() => cluster[Symbol.asyncDispose]());

const rooms = { openPlaces: { 'shop/Counter@1': 100 } };

/** One worker, which runs a container of the class that has room. */
async function start(heartbeat = rooms): Promise<BusWorker> {
  const classes = [classManifest('Counter', { tasksPerContainer: 101 })];
  cluster = await Harness.start({ workers: 0, classes });
  client = cluster.client();
  return addWorker(heartbeat);
}

async function addWorker(heartbeat = rooms): Promise<BusWorker> {
  const worker = await cluster.addWorker({ heartbeat });
  const [router] = cluster.routers;
  await until(() => router?.workers.isFresh(worker.bootId) ?? false);
  return worker;
}

async function pinOf(id: string): Promise<Pin | null> {
  return cluster.store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id }));
}

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
}

function stateBecomes(id: string, state: string): Promise<void> {
  return until(async () => (await pinOf(id))?.state === state);
}

function broughtOf({ pin }: PinView): Pin | null {
  return pin.length === 0 ? null : decodePin(pin);
}

const noCapacity = (): HoldfastError => new HoldfastError('NoCapacity', 'no');

describe('a new instance of a class that has room in a container', () => {
  it('S5: is told to its client while it is placing, with the pin to bring, and its worker hears of it all the same', async () => {
    const worker = await start();
    let letGo = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    worker.beforePlace = () => held;
    const view = await client.create('a', [1]);
    const { generation } = view.handle ?? {};
    expect(view.address).toBe(worker.address);
    expect(broughtOf(view)).toMatchObject({ state: 'placing', epoch: view.epoch, generation, bootId: worker.bootId });
    expect(await pinOf('a')).toEqual(broughtOf(view));
    letGo();
    await stateBecomes('a', 'active');
    expect(await pinOf('a')).toMatchObject({ epoch: view.epoch, generation });
    expect(worker.placeRequests).toBe(1);
  });

  it('S5: is waited for by everybody who finds it placing', async () => {
    const worker = await start();
    const first = await client.create('a');
    const other = await cluster.client(cluster.addRouter()).create('a');
    expect(broughtOf(first)?.state).toBe('placing');
    expect(other).toMatchObject({ epoch: first.epoch });
    expect(broughtOf(other)).toBeNull();
    expect(await pinOf('a')).toMatchObject({ state: 'active' });
    expect(worker.activated).toHaveLength(1);
  });

  it('S12: keeps the generation that its client was told where its worker refuses it', async () => {
    const first = await start();
    first.refuse = noCapacity;
    const made = await client.create('a');
    const second = await addWorker();
    await stateBecomes('a', 'active');
    const moved = await client.resolve(made, { failedEpoch: made.epoch });
    expect(moved).toMatchObject({ address: second.address, handle: { generation: made.handle?.generation } });
    expect(moved.epoch).toBeGreaterThan(made.epoch);
  });

  it('S12: keeps it where its worker died before it was asked', async () => {
    const first = await start();
    const made = await client.create('a');
    await first.die();
    const second = await addWorker();
    await first.releaseLease();
    const moved = await client.resolve(made, { failedEpoch: made.epoch });
    expect(moved).toMatchObject({ address: second.address, handle: { generation: made.handle?.generation } });
    expect(await pinOf('a')).toMatchObject({ restarts: 0, restarted: false });
  });

  it('S8: stays where it is being placed while the lease of a worker stands that nobody can ask', async () => {
    const first = await start();
    first.deafen();
    const made = await client.create('a');
    await addWorker();
    const asked = client.resolve(made, { failedEpoch: made.epoch, remainingMs: shortLeases.ttlMs / 2 });
    await expect(asked).rejects.toMatchObject({ code: 'DeadlineExceeded' });
    expect(await pinOf('a')).toMatchObject({ state: 'placing', epoch: made.epoch });
  });

  it('S13: comes with a grant for further names once those of its class were all new, until one was not', async () => {
    const worker = await start();
    const before: string[] = [];
    for (let i = 0; i < 8; i += 1) before.push((await client.create(`new-${i}`)).grant);
    // The last of them is the eighth in a row.
    expect(before.filter((grant) => grant !== '')).toHaveLength(1);
    const { grant, deployment } = await client.create('next');
    const keys = await cluster.store.keys.signingKeys(account, { id: 'x', secret: new Uint8Array(32), createdAtMs: 0 });
    const names = { account, app: 'shop', className: 'Counter', deployment, bootId: worker.bootId };
    expect(verifyGrant(keys, grant, Date.now())).toMatchObject({ ...names, role: 'call' });
    await stateBecomes('new-0', 'active');
    expect((await client.create('new-0')).grant).toBe('');
    expect((await client.create('another')).grant).toBe('');
  });

  it('S13: can have the next grant asked for, of the worker that has room by then, and takes none of it', async () => {
    const first = await start({ openPlaces: { 'shop/Counter@1': 9 } });
    for (let i = 0; i < 8; i += 1) await client.create(`new-${i}`);
    expect(await client.grant()).toMatchObject({ address: first.address, deployment: 1 });
    await client.create('another');
    const second = await addWorker();
    const { grant, address } = await client.grant();
    expect(address).toBe(second.address);
    const keys = await cluster.store.keys.signingKeys(account, { id: 'x', secret: new Uint8Array(32), createdAtMs: 0 });
    const names = { account, app: 'shop', className: 'Counter', deployment: 1, bootId: second.bootId };
    expect(verifyGrant(keys, grant, Date.now())).toMatchObject({ ...names, role: 'call' });
    // All places of the second worker but one are taken; had what was asked for here taken any, there would be none.
    for (let i = 0; i < 99; i += 1) await client.create(`more-${i}`);
    expect((await client.grant()).address).toBe(second.address);
  });

  it('S13: has no next grant where a router makes its names', async () => {
    const none = { grant: '', address: '', deployment: 0 };
    await start({ openPlaces: { 'shop/Counter@1': 8 } });
    expect(await client.grant()).toEqual(none);
    for (let i = 0; i < 7; i += 1) await client.create(`new-${i}`);
    expect(await client.grant()).toEqual(none);
    await client.create('new-7');
    // They are expected now, and the room is taken.
    expect(await client.grant()).toEqual(none);
    await expect(client.grant('')).rejects.toMatchObject({ code: 'InvalidArgument' });
    expect(await client.grant('Other')).toEqual(none);
  });

  it('is closed by who never called it', async () => {
    const worker = await start();
    const made = await client.create('a');
    expect(await client.closeNamed('a')).toMatchObject({ closed: true, alreadyClosed: false });
    expect(await pinOf('a')).toMatchObject({ state: 'closed', generation: made.handle?.generation });
    expect(worker.held).toEqual([]);
  });
});

describe('a new instance is told to its client once it is active', () => {
  it('where a container has to be started for it', async () => {
    await start({ openPlaces: {} } as unknown as typeof rooms);
    const view = await client.create('a');
    expect(broughtOf(view)).toBeNull();
    expect(await pinOf('a')).toMatchObject({ state: 'active' });
  });

  it('where its arguments are large', async () => {
    await start();
    const view = await client.create('a', ['x'.repeat(5_000)]);
    expect(broughtOf(view)).toBeNull();
    expect(await pinOf('a')).toMatchObject({ state: 'active' });
  });
});
