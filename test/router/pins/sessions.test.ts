import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { WorkerHeartbeat } from '../../../src/wire/gen/holdfast/v1/bus.js';
import type { PinView } from '../../../src/wire/gen/holdfast/v1/router.js';
import { type BusWorker, classManifest, sandboxManifest } from '../bus-worker.js';
import { account, type ControlClient, Harness, refusal } from '../harness.js';

const walls = { sandboxIsolation: 'bubblewrap', maxSandboxes: 100 };
let cluster: Harness;
let client: ControlClient;

afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** Workers that can isolate; the first has what is created while there is no other. */
async function start(options: Parameters<typeof sandboxManifest>[0] = {}): Promise<BusWorker> {
  cluster = await Harness.start({ workers: 0, classes: [sandboxManifest(options)] });
  client = cluster.client();
  return await addWorker();
}

async function addWorker(heartbeat: Partial<WorkerHeartbeat> = walls): Promise<BusWorker> {
  return await cluster.addWorker({ heartbeat });
}

function pinOf(id: string): Promise<Pin | null> {
  return cluster.store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id }));
}

/** Made, and asleep at the worker that has it. */
async function asleep(worker: BusWorker, id: string): Promise<PinView> {
  const made = await client.create(id, []);
  await worker.release(made.key, made.epoch);
  return made;
}

describe('a session', () => {
  it('has a handle of a sandbox, and its tags', async () => {
    await start();
    const value = { app: 'shop', className: 'Counter', id: 'a', sharedByArgs: false, session: { tags: ['x', 'y'] } };
    const made = (await client.ask({ $case: 'create', value: { ...value, args: undefined } })) as PinView;
    expect(made.handle?.kind).toBe('sandbox');
    expect(await pinOf('a')).toMatchObject({ kind: 'sandbox', tags: ['x', 'y'], onLoss: 'fail' });
    const tooMany = { ...value, id: 'b', args: undefined, session: { tags: Array(100).fill('x') } };
    expect(await refusal(client.ask({ $case: 'create', value: tooMany }))).toMatchObject({ code: 'InvalidArgument' });
  });

  it('that sleeps is woken where its files are, whoever else has more room', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    first.heartbeatState = { ...walls, sandboxes: 90 };
    first.beat();
    const second = await addWorker();
    const woken = await client.resolve(made);
    expect(woken).toMatchObject({ address: first.address });
    expect(woken.epoch).toBeGreaterThan(made.epoch);
    expect(second.placeRequests).toBe(0);
  });

  it('that sleeps waits for its worker while that has no room', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    await addWorker();
    first.heartbeatState = { ...walls, sandboxes: 100 };
    first.beat();
    const failed = await refusal(client.resolve(made, { remainingMs: 700 }));
    expect(failed).toMatchObject({ code: 'NoCapacity' });
    expect(failed.message).toMatch(/w0 \(full: 100 of 100 sandboxes\).*w1 \(does not have its files\)/);
    expect(await pinOf('a')).toMatchObject({ state: 'idle' });
    first.heartbeatState = walls;
    await expect(client.resolve(made)).resolves.toMatchObject({ address: first.address });
  });

  it('that sleeps is lost with its worker', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    const second = await addWorker();
    await first.die();
    await first.releaseLease();
    expect(await refusal(client.resolve(made))).toMatchObject({ code: 'InstanceLost' });
    expect(await refusal(client.create('a'))).toMatchObject({ code: 'InstanceLost' });
    expect(await pinOf('a')).toMatchObject({ state: 'lost' });
    expect(second.placeRequests).toBe(0);
    expect(await client.closeNamed('a')).toMatchObject({ closed: true });
    await expect(client.create('a', [])).resolves.toMatchObject({ address: second.address });
  });

  it('that sleeps starts anew elsewhere, and knows it, where it may be recreated', async () => {
    const first = await start({ onLoss: 'recreate' });
    const made = await asleep(first, 'a');
    const second = await addWorker();
    await first.die();
    await first.releaseLease();
    await expect(client.resolve(made)).resolves.toMatchObject({ address: second.address });
    expect(await pinOf('a')).toMatchObject({ restarted: true, restarts: 1 });
  });

  it('that is lost while it is woken is lost', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    first.beforePlace = () => new Promise(() => undefined);
    const waking = client.resolve(made, { remainingMs: 20_000 });
    await first.placeReached;
    await addWorker();
    await first.die();
    await first.releaseLease();
    expect(await refusal(waking)).toMatchObject({ code: 'InstanceLost' });
  });

  it('that sleeps is not made elsewhere where its worker refuses to wake it', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    const second = await addWorker();
    first.refuse = () => new HoldfastError('NoCapacity', 'full after all', { retryable: true });
    expect(await refusal(client.resolve(made, { remainingMs: 700 }))).toMatchObject({ code: 'NoCapacity' });
    first.refuse = () => null;
    await expect(client.resolve(made)).resolves.toMatchObject({ address: first.address });
    expect(second.placeRequests).toBe(0);
  });

  it('that has never run is made elsewhere however many workers die while they take it', async () => {
    const first = await start();
    const never = () => new Promise<void>(() => undefined);
    first.beforePlace = never;
    const making = client.create('a', [], 20_000);
    await first.placeReached;
    const second = await addWorker();
    second.beforePlace = never;
    await first.die();
    await first.releaseLease();
    await second.placeReached;
    const third = await addWorker();
    await second.die();
    await second.releaseLease();
    const made = await making;
    expect(made).toMatchObject({ address: third.address });
    expect(await pinOf('a')).toMatchObject({ state: 'active', restarts: 0, generation: made.epoch });
  });

  it('that was lost is not bound to a worker that refused it', async () => {
    const first = await start({ onLoss: 'recreate' });
    const made = await client.create('a', []);
    const second = await addWorker();
    second.refuse = () => new HoldfastError('NoCapacity', 'full after all', { retryable: true });
    await first.die();
    await first.releaseLease();
    const moving = client.resolve(made, { failedEpoch: made.epoch });
    await second.placeReached;
    const third = await addWorker();
    expect(await moving).toMatchObject({ address: third.address });
    expect(await pinOf('a')).toMatchObject({ restarts: 1, restarted: true });
  });

  it('that sleeps is closed by the router, which tells the worker that has its files', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    expect(await client.closeHandle(made.handle)).toMatchObject({
      closed: true,
      alreadyClosed: false,
      exitHook: 'none',
    });
    expect(first.forgotten).toEqual([made.key]);
    expect(await pinOf('a')).toMatchObject({ state: 'closed' });
    expect(await refusal(client.resolve(made))).toMatchObject({ code: 'InstanceGone' });
  });

  it('that sleeps is closed although its worker does not answer', async () => {
    const first = await start();
    const made = await asleep(first, 'a');
    first.isSilent = true;
    expect(await client.closeHandle(made.handle)).toMatchObject({ closed: true });
  });
});

describe('a session whose sandbox waits for it', () => {
  const warm = { ...walls, openPlaces: { 'shop/Counter@1': 100 } };
  const full = (): HoldfastError => new HoldfastError('NoCapacity', 'full after all', { retryable: true });

  async function startWarm(): Promise<BusWorker> {
    cluster = await Harness.start({ workers: 0, classes: [sandboxManifest()] });
    client = cluster.client();
    return await addWorker(warm);
  }

  function isBrought({ pin }: PinView): boolean {
    return pin.length > 0;
  }

  it('S5: is told to its client before its worker has heard of it', async () => {
    const first = await startWarm();
    const made = await client.create('a', []);
    expect([isBrought(made), made.address]).toEqual([true, first.address]);
    expect(await client.resolve(made)).toMatchObject({ epoch: made.epoch });
    expect(await pinOf('a')).toMatchObject({ state: 'active', restarts: 0 });
  });

  it('starts elsewhere, as what it is, where that worker refuses it and the next one dies with it', async () => {
    const first = await startWarm();
    first.refuse = full;
    const made = await client.create('a', []);
    const second = await addWorker();
    second.beforePlace = () => new Promise(() => undefined);
    const moving = client.resolve(made, { failedEpoch: made.epoch, remainingMs: 20_000 });
    await second.placeReached;
    const third = await addWorker();
    await second.die();
    await second.releaseLease();
    expect(await moving).toMatchObject({ address: third.address });
    expect(await pinOf('a')).toMatchObject({ generation: made.epoch, state: 'active', restarts: 0 });
  });

  it('starts elsewhere where that worker dies before it has heard of it, and the next one refuses it', async () => {
    const first = await startWarm();
    const made = await client.create('a', []);
    expect(isBrought(made)).toBe(true);
    await first.die();
    const second = await addWorker();
    second.refuse = full;
    await first.releaseLease();
    const moving = client.resolve(made, { failedEpoch: made.epoch, remainingMs: 20_000 });
    await second.placeReached;
    const third = await addWorker();
    expect(await moving).toMatchObject({ address: third.address });
    expect(await pinOf('a')).toMatchObject({ generation: made.epoch, restarts: 0 });
  });

  it('S3: is bound to its files from its first sleep on', async () => {
    const first = await startWarm();
    const made = await client.create('a', []);
    await client.resolve(made);
    await first.release(made.key, made.epoch);
    await addWorker();
    await first.die();
    await first.releaseLease();
    expect(await refusal(client.resolve(made))).toMatchObject({ code: 'InstanceLost' });
  });
});

describe('a cluster that cannot isolate', () => {
  it('says so at once, and what would help', async () => {
    cluster = await Harness.start({ workers: 0, classes: [sandboxManifest()] });
    client = cluster.client();
    await addWorker({ sandboxLack: 'bubblewrap is missing: apt-get install bubblewrap' });
    const refused = await refusal(client.create('a', []));
    expect(refused).toMatchObject({ code: 'SandboxUnavailable' });
    expect(refused.message).toContain('w0 (bubblewrap is missing: apt-get install bubblewrap)');
  });

  it('says so of a class that asks for gVisor where only sandboxes have it, and where it has a place', async () => {
    cluster = await Harness.start({ workers: 0, classes: [classManifest('Counter', { isolation: 'gvisor' })] });
    client = cluster.client();
    await addWorker({ sandboxIsolation: 'gvisor' });
    const refused = await refusal(client.create('a', []));
    expect(refused).toMatchObject({ code: 'SandboxUnavailable' });
    expect(refused.message).toContain('needs gvisor; a worker with --isolation gvisor does');
    const able = await addWorker({ isolation: 'gvisor' });
    expect(await client.create('b', [])).toMatchObject({ address: able.address });
  });

  it('is one where only a worker that can isolate gets sessions', async () => {
    const able = await start();
    const unable = await addWorker({ sandboxLack: 'no bubblewrap' });
    for (const id of ['a', 'b', 'c']) await client.create(id, []);
    expect([able.activated.length, unable.placeRequests]).toEqual([3, 0]);
  });

  it('waits where one that can isolate is only full', async () => {
    const first = await start();
    first.heartbeatState = { ...walls, sandboxes: 100 };
    first.beat();
    expect(await refusal(client.create('a', [], 700))).toMatchObject({ code: 'NoCapacity' });
    first.heartbeatState = walls;
    await expect(client.create('a', [])).resolves.toMatchObject({ address: first.address });
  });
});
