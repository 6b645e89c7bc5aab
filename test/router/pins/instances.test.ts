import { afterEach, describe, expect, it, vi } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { PinView } from '../../../src/wire/gen/holdfast/v1/router.js';
import type { BusWorker } from '../bus-worker.js';
import { account, type ControlClient, Harness, refusal } from '../harness.js';

let cluster: Harness;
let client: ControlClient;

async function start(options: Parameters<typeof Harness.start>[0] = {}): Promise<BusWorker> {
  cluster = await Harness.start(options);
  client = cluster.client();
  return cluster.workers[0] as BusWorker;
}

function pinOf(id: string): Promise<Pin | null> {
  return cluster.store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id }));
}

afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

describe('create', () => {
  it('makes an instance on a worker and joins it afterwards', async () => {
    const worker = await start();
    const made = await client.create('a', [1]);
    expect(made).toMatchObject({ address: worker.address, deployment: 1 });
    expect(made.handle).toMatchObject({ account, app: 'shop', name: 'Counter', id: 'a', generation: made.epoch });
    const joined = await client.create('a');
    expect(joined.epoch).toBe(made.epoch);
    expect(worker.activated).toHaveLength(1);
    expect(await pinOf('a')).toMatchObject({ state: 'active', onLoss: 'recreate', workerId: 'w0', restarts: 0 });
  });

  it('draws an id for `new` whose loss is final', async () => {
    await start();
    const [one, other] = await Promise.all([client.create('', []), client.create('', [])]);
    expect(one.handle?.id).toMatch(/^[0-9A-Z]{26}$/);
    expect(one.handle?.id).not.toBe(other.handle?.id);
    expect(await pinOf(one.handle?.id ?? '')).toMatchObject({ onLoss: 'fail' });
  });

  it('refuses other arguments than the first, without telling any', async () => {
    await start();
    await client.create('a', ['secret']);
    const error = await refusal(client.create('a', ['guess']));
    expect(error).toMatchObject({ code: 'InstanceConflict', details: { app: 'shop', className: 'Counter', id: 'a' } });
    expect(`${error.message} ${JSON.stringify(error.details)}`).not.toMatch(/secret|guess/);
    await expect(client.create('a', ['secret'])).resolves.toMatchObject({ key: expect.any(String) });
  });

  it('gives one epoch to a thousand callers at two routers', async () => {
    const worker = await start({ routers: 2 });
    const second = cluster.client(cluster.routers[1]);
    const views = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) => (i % 2 === 0 ? client : second).create('hot', ['x'], 30_000)),
    );
    expect(new Set(views.map(({ epoch }) => epoch)).size).toBe(1);
    expect(worker.activated).toHaveLength(1);
  });

  it('lets one of two callers with different arguments win, at two routers', async () => {
    await start({ routers: 2 });
    const second = cluster.client(cluster.routers[1]);
    const outcomes = await Promise.allSettled([client.create('a', [1]), second.create('a', [2])]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const lost = outcomes.find((outcome) => outcome.status === 'rejected');
    expect(lost?.reason).toMatchObject({ code: 'InstanceConflict' });
  });

  it('coalesces what is asked in one tick into one place message and few answers', async () => {
    const worker = await start();
    await Promise.all(Array.from({ length: 200 }, (_, i) => client.create(`c${i}`, [])));
    expect(worker.activated).toHaveLength(200);
    expect(client.batches).toBeLessThan(100);
  });

  it('spreads a burst over workers although no heartbeat came in between', async () => {
    await start({ workers: 4 });
    await Promise.all(cluster.workers.map((_, i) => client.create(`seen-${i}`, [])));
    for (const worker of cluster.workers) {
      worker.heartbeatState = { containers: 0, maxContainers: 100 };
      worker.beat();
      worker.stopBeating();
    }
    const before = cluster.workers.map((worker) => worker.activated.length);
    await Promise.all(Array.from({ length: 40 }, (_, i) => client.create(`b${i}`, [])));
    const placed = cluster.workers.map((worker, i) => worker.activated.length - (before[i] ?? 0));
    // What the four first ones took may count still, or not.
    for (const count of placed) expect(Math.abs(count - 10)).toBeLessThanOrEqual(2);
  });

  it('moves on to another worker where one refuses', async () => {
    await start({ workers: 2 });
    const [first, second] = cluster.workers as [BusWorker, BusWorker];
    second.heartbeatState = { containers: 900_000 };
    second.beat();
    first.refuse = () => new HoldfastError('NoCapacity', 'full already');
    const view = await client.create('a', []);
    expect(view.address).toBe(second.address);
    expect(first.placeRequests).toBe(1);
  });

  it('tells what the worker refused it for where no other worker could do better, and frees the id', async () => {
    const worker = await start();
    worker.refuse = () => new HoldfastError('ActivationFailed', 'the bundle does not load');
    expect(await refusal(client.create('a', [1]))).toMatchObject({ code: 'ActivationFailed' });
    worker.refuse = () => null;
    await expect(client.create('a', [2])).resolves.toMatchObject({ address: worker.address });
  });

  it('puts large arguments into the object store and a reference into the pin', async () => {
    await start();
    const argument = 'x'.repeat(100_000);
    await client.create('a', [argument]);
    const pin = await pinOf('a');
    expect(pin?.args[0]).toBe(2);
    const key = Buffer.from(pin?.args.subarray(1) ?? []).toString('utf8');
    expect((await cluster.objects.get(key))?.length).toBeGreaterThan(100_000);
    await expect(client.create('a', [argument])).resolves.toMatchObject({ address: expect.any(String) });
  });

  it('refuses arguments that are too large, or a reference of the client’s own', async () => {
    await start();
    expect(await refusal(client.create('a', ['x'.repeat(9_000_000)]))).toMatchObject({ code: 'PayloadTooLarge' });
    const forged = { app: 'shop', className: 'Counter', id: 'b', sharedByArgs: false };
    const args = Buffer.from([2, ...Buffer.from('bundles/abc')]);
    expect(await refusal(client.ask({ $case: 'create', value: { ...forged, args } }))).toMatchObject({
      code: 'InvalidArgument',
    });
    expect(await pinOf('b')).toBeNull();
  });

  it('names what exists where the app or class does not', async () => {
    await start();
    const value = { app: 'shop', className: 'Clerk', id: 'a', args: undefined, sharedByArgs: false };
    const noClass = await refusal(client.ask({ $case: 'create', value }));
    expect(noClass).toMatchObject({ code: 'NotFound', message: expect.stringContaining('classes: Counter') });
    const noApp = await refusal(client.ask({ $case: 'create', value: { ...value, app: 'bank' } }));
    expect(noApp).toMatchObject({
      code: 'NotFound',
      message: expect.stringMatching(/deployed: shop.*holdfast deploy/),
    });
  });

  it('waits for a worker to join, and names every worker’s reason at the deadline', async () => {
    await start({ workers: 0 });
    const waiting = client.create('a', []);
    await cluster.addWorker();
    await expect(waiting).resolves.toMatchObject({ address: 'w0.test:1' });
    (cluster.workers[0] as BusWorker).heartbeatState = { state: 'draining' };
    (cluster.workers[0] as BusWorker).beat();
    const error = await refusal(client.create('b', [], 400));
    expect(error).toMatchObject({
      code: 'NoCapacity',
      details: { rejected: [{ workerId: 'w0', why: 'is draining' }] },
    });
    expect(await pinOf('b')).toBeNull();
  });
});

describe('a deadline', () => {
  it('ends the wait of each caller of a shared flight at its own time', async () => {
    const worker = await start();
    let release = (): void => undefined;
    worker.beforePlace = () => new Promise((resolve) => (release = resolve));
    const patient = client.create('a', []);
    const error = await refusal(client.create('a', [], 150));
    expect(error).toMatchObject({ code: 'DeadlineExceeded', details: { waitedFor: 'worker w0 to take the instance' } });
    release();
    await expect(patient).resolves.toMatchObject({ address: worker.address });
    expect(worker.activated).toHaveLength(1);
  });

  it('is not outlived by a cancelled request', async () => {
    const worker = await start();
    worker.isSilent = true;
    const cancelled = refusal(client.create('a', []));
    client.cancel(client.lastId);
    expect(await cancelled).toMatchObject({ code: 'Cancelled' });
  });
});

describe('resolve and attach', () => {
  it('activate an instance that sleeps, at a higher epoch of the same generation', async () => {
    await start();
    const made = await client.create('a', [1]);
    await cluster.workers[0]?.release(made.key, made.epoch);
    const [resolved, attached] = await Promise.all([client.resolve(made), client.attach(made.handle)]);
    expect(resolved.epoch).toBeGreaterThan(made.epoch);
    expect(attached.epoch).toBe(resolved.epoch);
    expect(resolved.handle).toMatchObject({ generation: made.handle?.generation });
  });

  it('refuse handles that are forged, foreign, closed, remade or of nothing', async () => {
    await start();
    const { handle } = await client.create('a', [1]);
    if (handle === undefined) throw new Error('no handle');
    const forgeries = [
      { ...handle, id: 'b' },
      { ...handle, generation: handle.generation + 1 },
      { ...handle, app: 'bank' },
      { ...handle, name: 'Clerk' },
      { ...handle, kind: 'sandbox' },
      { ...handle, account: 'other' },
      { ...handle, signature: '' },
      { ...handle, signature: handle.signature.slice(0, -1) },
      { ...handle, signature: `unknown${handle.signature}` },
    ];
    for (const forged of forgeries) {
      expect(await refusal(client.attach(forged))).toMatchObject({ code: 'PermissionDenied' });
    }
    expect(await refusal(client.attach(undefined))).toMatchObject({ code: 'InvalidArgument' });
    await client.closeNamed('a');
    expect(await refusal(client.attach(handle))).toMatchObject({ code: 'InstanceGone' });
    const remade = await client.create('a', [2]);
    expect(remade.handle?.generation).toBeGreaterThan(handle.generation);
    expect(await refusal(client.attach(handle))).toMatchObject({
      code: 'InstanceGone',
      details: { currentGeneration: remade.handle?.generation },
    });
  });

  it('take handles that another key signed', async () => {
    await start({ routers: 1 });
    const { handle } = await client.create('a', []);
    // Older than the first one, which is too young to sign where there is another.
    const added = { id: 'other', secret: new Uint8Array(32).fill(7), createdAtMs: Date.now() - 60_000 };
    await cluster.store.keys.addSigningKey(account, added);
    const fresh = cluster.client(cluster.addRouter());
    const attached = await fresh.attach(handle);
    expect(attached.handle?.signature).toMatch(/^other\./);
    // The first router does not know the key yet, and learns it from the signature.
    const taken = async () => {
      expect(await client.attach(attached.handle)).toMatchObject({ epoch: attached.epoch });
    };
    await vi.waitFor(taken, { timeout: 20_000, interval: 100 });
  });

  it('never make an instance', async () => {
    await start();
    const made = await client.create('a', []);
    const unknown = { ...made, handle: made.handle && { ...made.handle, id: 'never' } };
    expect(await refusal(client.resolve(unknown as PinView))).toMatchObject({ code: 'InstanceGone' });
  });
});

describe('close', () => {
  it('runs at the worker, is idempotent, and never touches the id made again', async () => {
    await start();
    const made = await client.create('a', [1]);
    expect(await client.closeHandle(made.handle)).toMatchObject({
      closed: true,
      alreadyClosed: false,
      exitHook: 'ran',
    });
    expect(await client.closeHandle(made.handle)).toMatchObject({
      closed: true,
      alreadyClosed: true,
      exitHook: 'none',
    });
    const remade = await client.create('a', [2]);
    expect(await client.closeHandle(made.handle)).toMatchObject({ closed: true, alreadyClosed: true });
    await expect(client.resolve(remade)).resolves.toMatchObject({ epoch: remade.epoch });
    expect(await client.closeNamed('never')).toMatchObject({ closed: true, alreadyClosed: true });
  });

  it('by name refuses other arguments than the first', async () => {
    await start();
    await client.create('a', [1]);
    expect(await refusal(client.closeNamed('a', { args: [2] }))).toMatchObject({ code: 'InstanceConflict' });
    expect(await client.closeNamed('a', { args: [1] })).toMatchObject({ closed: true, alreadyClosed: false });
  });

  it('of a sleeping instance changes the pin alone', async () => {
    await start();
    const made = await client.create('a', []);
    await cluster.workers[0]?.release(made.key, made.epoch);
    expect(await client.closeNamed('a')).toMatchObject({ closed: true, alreadyClosed: false, exitHook: 'none' });
    expect(await pinOf('a')).toMatchObject({ state: 'closed' });
  });

  it('of an instance on its way waits until it is there', async () => {
    const worker = await start();
    let go = (): void => undefined;
    const reached = new Promise<void>((resolve) => {
      worker.beforePlace = () => {
        resolve();
        return new Promise((open) => (go = open));
      };
    });
    const creating = client.create('a', []);
    await reached;
    const closing = cluster.client(cluster.addRouter()).closeNamed('a');
    go();
    worker.beforePlace = async () => undefined;
    await creating;
    expect(await closing).toMatchObject({ closed: true, exitHook: 'ran' });
    expect(await pinOf('a')).toMatchObject({ state: 'closed' });
  });

  it('holds back `named` until it has ended, which then makes the id anew', async () => {
    const worker = await start();
    const made = await client.create('a', [1]);
    let end = (): void => undefined;
    const ending = new Promise<void>((resolve) => {
      worker.beforeEnd = () => {
        resolve();
        return new Promise((open) => (end = open));
      };
    });
    const closing = client.closeNamed('a');
    await ending;
    const remaking = client.create('a', ['other']);
    end();
    expect(await closing).toMatchObject({ closed: true });
    expect((await remaking).handle?.generation).toBeGreaterThan(made.epoch);
  });
});
