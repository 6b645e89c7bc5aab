import { afterEach, describe, expect, it, vi } from 'vitest';
import { type InstanceKey, instanceKey } from '../../src/common/ids.js';
import type { StateOwner } from '../../src/common/ports/state-store.js';
import { keepAlarms } from '../../src/router/alarms.js';
import type { BusWorker } from './bus-worker.js';
import { account, type ControlClient, Harness } from './harness.js';

let cluster: Harness;
let client: ControlClient;
let looking: Promise<void>[] = [];
afterEach(async () => {
  const ended = Promise.all(looking);
  await cluster[Symbol.asyncDispose]();
  await ended;
});

async function start(routers = 1): Promise<BusWorker> {
  cluster = await Harness.start({ routers });
  client = cluster.client();
  looking = cluster.routers.map((router) => keepAlarms(router, router.closed));
  return cluster.workers[0] as BusWorker;
}

/** Sets the alarm of an instance that is active now, as its worker does; but nobody expects it yet. */
async function armed(
  id: string,
  atMs = Date.now() - 5,
): Promise<{ readonly key: InstanceKey; readonly epoch: number }> {
  const { epoch } = await client.create(id);
  const key = instanceKey({ account, app: 'shop', className: 'Counter', id });
  await set({ key, epoch }, 1, atMs);
  return { key, epoch };
}

async function set(owner: StateOwner, sequence: number, alarm: number | null): Promise<void> {
  await cluster.store.state.commit(owner, { sequence, changes: [], alarm });
}

function expectNow({ key }: StateOwner): Promise<void> {
  return cluster.store.alarms.expect(account, key, Date.now() - 5);
}

/** One that is due rings; by then every router has looked at those that were expected before it. */
async function ringsAlone(worker: BusWorker): Promise<void> {
  const due = await armed('due');
  await expectNow(due);
  await vi.waitUntil(() => worker.rung.length > 0, { timeout: 60_000 });
  expect(new Set(worker.rung)).toEqual(new Set([`${due.key} ${due.epoch} ${due.epoch}.1`]));
}

describe('routers that look for alarms', () => {
  it('A2: have the one that is due rung by the worker that has its instance', async () => {
    const worker = await start(2);
    await ringsAlone(worker);
  });

  it('A3: wake an instance that sleeps', async () => {
    const worker = await start();
    const { key, epoch } = await armed('a');
    await worker.release(key, epoch);
    await expectNow({ key, epoch });
    await vi.waitUntil(() => worker.rung.length > 0, { timeout: 60_000 });
    const [woken] = worker.held;
    expect(woken?.epoch).toBeGreaterThan(epoch);
    expect(worker.rung[0]).toBe(`${key} ${woken?.epoch} ${epoch}.1`);
  });

  it('look later for one that was put off, and no more for one that is gone', async () => {
    const worker = await start();
    const later = await armed('later', Date.now() + 3_600_000);
    const gone = await armed('gone');
    await set(gone, 2, null);
    await Promise.all([later, gone].map(expectNow));
    await ringsAlone(worker);
  });

  it('A3: leave alone what was closed', async () => {
    const worker = await start();
    const closed = await armed('a');
    await client.closeNamed('a');
    await expectNow(closed);
    await ringsAlone(worker);
    expect(await cluster.store.alarms.get(closed.key)).toBeNull();
  });
});
