import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { LeaseState } from '../../../src/common/lease.js';
import type { Pin } from '../../../src/common/pin.js';
import type { PinStore, Store } from '../../../src/common/ports/store.js';
import { type BusWorker, classManifest } from '../bus-worker.js';
import { account, type ControlClient, Harness, refusal } from '../harness.js';

let cluster: Harness;
let client: ControlClient;

afterEach(async () => {
  await cluster[Symbol.asyncDispose]();
});

/** One worker, so that it is known who has what is created; a second one joins later. */
async function start(options: Parameters<typeof Harness.start>[0] = {}): Promise<BusWorker> {
  cluster = await Harness.start({ workers: 1, ...options });
  client = cluster.client();
  return cluster.workers[0] as BusWorker;
}

function pinOf(id: string): Promise<Pin | null> {
  return cluster.store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id }));
}

/** What the store said of the first worker's lease at the moment at which the second was asked to take over. */
function leaseAtTakeover(first: BusWorker, second: BusWorker): { state: LeaseState | null } {
  const seen: { state: LeaseState | null } = { state: null };
  second.beforePlace = async () => {
    seen.state ??= await cluster.store.leases.read(first.bootId);
  };
  return seen;
}

describe('an instance whose worker died', () => {
  it('starts elsewhere at a higher epoch, and only after the lease has ended', async () => {
    const first = await start();
    const made = await client.create('a', [1]);
    const second = await cluster.addWorker();
    const lease = leaseAtTakeover(first, second);
    await first.die();
    const moved = await client.resolve(made, { failedEpoch: made.epoch });
    expect(lease.state).toEqual({ phase: 'absent' });
    expect(moved.address).toBe(second.address);
    expect(moved.epoch).toBeGreaterThan(made.epoch);
    expect(moved.handle?.generation).toBe(made.handle?.generation);
    expect(await pinOf('a')).toMatchObject({ state: 'active', restarts: 1, restarted: true, workerId: 'w1' });
  });

  it('starts elsewhere as soon as the watchdog has released the lease', async () => {
    const first = await start();
    const made = await client.create('a', []);
    const second = await cluster.addWorker();
    const lease = leaseAtTakeover(first, second);
    await first.die();
    await first.releaseLease();
    await client.resolve(made, { failedEpoch: made.epoch });
    expect(lease.state).toEqual({ phase: 'released' });
  });

  it('is activated once, however many callers at two routers notice', async () => {
    const first = await start({ routers: 2 });
    const other = cluster.client(cluster.routers[1]);
    const made = await client.create('a', []);
    const second = await cluster.addWorker();
    await first.die();
    await first.releaseLease();
    const views = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? client : other).resolve(made, { failedEpoch: made.epoch })),
    );
    expect(new Set(views.map(({ epoch }) => epoch)).size).toBe(1);
    expect(second.activated).toHaveLength(1);
  });

  it('is lost where its onLoss is `fail`, until it is closed and made again', async () => {
    const first = await start({ classes: [classManifest('Counter', { onLoss: 'fail' })] });
    const made = await client.create('a', [1]);
    await cluster.addWorker();
    await first.die();
    await first.releaseLease();
    expect(await refusal(client.resolve(made, { failedEpoch: made.epoch }))).toMatchObject({ code: 'InstanceLost' });
    expect(await refusal(client.create('a'))).toMatchObject({ code: 'InstanceLost' });
    expect(await refusal(client.attach(made.handle))).toMatchObject({ code: 'InstanceLost' });
    expect(await pinOf('a')).toMatchObject({ state: 'lost' });
    expect(await client.closeNamed('a')).toMatchObject({ closed: true, alreadyClosed: false, exitHook: 'none' });
    await expect(client.create('a', [2])).resolves.toMatchObject({ address: 'w1.test:1' });
  });

  it('starts elsewhere also when it died while draining', async () => {
    const first = await start();
    const made = await client.create('a', []);
    const second = await cluster.addWorker();
    const draining = new Promise<void>((resolve) => {
      first.beforeEnd = () => {
        resolve();
        return new Promise(() => undefined);
      };
    });
    void first.release(made.key, made.epoch);
    await draining;
    await first.die();
    await first.releaseLease();
    await expect(client.resolve(made)).resolves.toMatchObject({ address: second.address });
    expect(await pinOf('a')).toMatchObject({ restarted: true, restarts: 1 });
  });

  it('is closed without its exit hooks when its worker dies during a close', async () => {
    const first = await start();
    await client.create('a', []);
    const closing = new Promise<void>((resolve) => {
      first.beforeEnd = () => {
        resolve();
        return new Promise(() => undefined);
      };
    });
    const reply = client.closeNamed('a');
    await closing;
    await first.die();
    await first.releaseLease();
    expect(await reply).toMatchObject({ closed: true, alreadyClosed: false, exitHook: 'skipped' });
    expect(await pinOf('a')).toMatchObject({ state: 'closed' });
  });

  it('is closed without its exit hooks when its worker was dead before', async () => {
    const first = await start();
    await client.create('a', []);
    await first.die();
    await first.releaseLease();
    expect(await client.closeNamed('a')).toMatchObject({ closed: true, exitHook: 'skipped' });
  });
});

describe('a worker that may live', () => {
  it('keeps what is being placed on it, although no request reaches it', async () => {
    const first = await start();
    await client.create('known', []);
    first.deafen();
    const asked = client.create('a', [], 700);
    const second = await cluster.addWorker();
    expect(await refusal(asked)).toMatchObject({ code: 'DeadlineExceeded', message: expect.stringContaining('w0') });
    expect(second.placeRequests).toBe(0);
    const pin = await pinOf('a');
    expect(pin).toMatchObject({ state: 'placing', workerId: 'w0' });
    first.listen();
    await expect(client.create('a')).resolves.toMatchObject({ epoch: pin?.epoch, address: first.address });
  });

  it('keeps what is being placed on it while it does not answer', async () => {
    const first = await start();
    first.isSilent = true;
    expect(await refusal(client.create('a', [], 200))).toMatchObject({ code: 'DeadlineExceeded' });
    const second = await cluster.addWorker();
    expect(await refusal(client.create('a', [], 200))).toMatchObject({ code: 'DeadlineExceeded' });
    expect(second.placeRequests).toBe(0);
    first.isSilent = false;
    await expect(client.create('a')).resolves.toMatchObject({ address: first.address });
  });

  it('loses what is being placed on it when its lease has ended', async () => {
    const first = await start();
    first.beforePlace = () => new Promise(() => undefined);
    const asked = client.create('a', [], 20_000);
    await first.placeReached;
    const second = await cluster.addWorker();
    await first.die();
    await first.releaseLease();
    await expect(asked).resolves.toMatchObject({ address: second.address });
    expect(await pinOf('a')).toMatchObject({ restarts: 0, restarted: false });
  });

  it('keeps its instance while its lease is held, although its heartbeats stopped', async () => {
    const first = await start();
    const made = await client.create('a', []);
    first.stopBeating();
    const fresh = cluster.client(cluster.addRouter());
    await expect(fresh.resolve(made)).resolves.toMatchObject({ epoch: made.epoch });
  });

  it('is given back to a caller that could not reach it, once its heartbeat came again', async () => {
    await start();
    const made = await client.create('a', []);
    await expect(client.resolve(made, { failedEpoch: made.epoch })).resolves.toMatchObject({ epoch: made.epoch });
  });

  it('is waited for where its heartbeats stopped and a caller could not reach it', async () => {
    const first = await start();
    const made = await client.create('a', []);
    const second = await cluster.addWorker();
    first.stopBeating();
    const moving = client.resolve(made, { failedEpoch: made.epoch });
    expect(await refusal(client.resolve(made, { failedEpoch: made.epoch, remainingMs: 300 }))).toMatchObject({
      code: 'DeadlineExceeded',
      message: expect.stringContaining('w0'),
    });
    await first.die();
    await first.releaseLease();
    await expect(moving).resolves.toMatchObject({ address: second.address });
  });
});

describe('a store whose answers get lost', () => {
  /** Every second change happens and then times out. */
  function forgetful(store: Store): Store {
    let changes = 0;
    const pins: PinStore = {
      get: (key) => store.pins.get(key),
      getMany: (keys) => store.pins.getMany(keys),
      list: (scope, page) => store.pins.list(scope, page),
      handle: (key) => store.pins.handle(key),
      attest: (key, pin) => store.pins.attest(key, pin),
      change: async (key, change) => {
        const result = await store.pins.change(key, change);
        if (changes++ % 2 === 0) throw new HoldfastError('Unavailable', 'timed out', { outcome: 'unknown' });
        return result;
      },
    };
    return { ...store, pins };
  }

  it('costs a retry and never a second activation', async () => {
    const first = await start();
    const router = cluster.addRouter({ store: forgetful(cluster.store) });
    const callers = [cluster.client(router), cluster.client(router), client];
    const views = await Promise.all(callers.map((caller) => caller.create('a', [1])));
    expect(new Set(views.map(({ epoch }) => epoch)).size).toBe(1);
    expect(first.activated).toHaveLength(1);
  });

  it('is named at the deadline where it stays away', async () => {
    await start();
    const away = async (): Promise<never> => {
      throw new HoldfastError('Unavailable', 'the store does not answer', { outcome: 'unknown' });
    };
    const pins: PinStore = { ...cluster.store.pins, get: away, getMany: away, change: away };
    const cut = cluster.client(cluster.addRouter({ store: { ...cluster.store, pins } }));
    expect(await refusal(cut.create('a', [], 200))).toMatchObject({
      code: 'Unavailable',
      outcome: 'not-run',
      retryable: true,
    });
  });
});
