import { afterEach, describe, expect, it, vi } from 'vitest';
import { type InstanceKey, instanceKey } from '../../src/common/ids.js';
import type { CallProgress } from '../../src/common/spawned-call.js';
import { type CallId, callId } from '../../src/common/spawned-call.js';
import { TimerWheel } from '../../src/common/timer-wheel.js';
import { keepAlarms } from '../../src/router/alarms.js';
import { PinEvents } from '../../src/router/pins/pin-events.js';
import { OpenRequest } from '../../src/router/service/request.js';
import { cancelSpawned, careFor, getSpawned, listSpawned } from '../../src/router/spawned.js';
import { SpawnedEnds } from '../../src/router/spawned-ends.js';
import { encodeValue } from '../../src/wire/codec/codec.js';
import { decodeError } from '../../src/wire/errors.js';
import { PinEvent } from '../../src/wire/gen/holdfast/v1/bus.js';
import { pinEventSubject, workerControlSubject } from '../../src/wire/subjects.js';
import { ManualClock } from '../manual-clock.js';
import { BusWorker } from './bus-worker.js';
import { account, type ControlClient, Harness } from './harness.js';

let made: Harness | null = null;
let cluster: Harness;
let client: ControlClient;
let looking: Promise<void>[] = [];
let drawn = 0;
afterEach(async () => {
  const ended = Promise.all(looking);
  await made?.[Symbol.asyncDispose]();
  made = null;
  await ended;
  looking = [];
});

async function start(): Promise<BusWorker> {
  cluster = await Harness.start();
  made = cluster;
  client = cluster.client();
  return cluster.workers[0] as BusWorker;
}

function look(): void {
  looking = cluster.routers.map((router) => keepAlarms(router, router.closed));
}

const router = () => cluster.routers[0] as (typeof cluster.routers)[number];
const identityOf = (id: string) => ({ account, app: 'shop', className: 'Counter', id });

/** By somebody of that account. */
function request(of = account): OpenRequest {
  return new OpenRequest({ kind: 'client', account: of, role: 'call' }, 20_000, router());
}

interface Recorded {
  readonly key: InstanceKey;
  readonly epoch: number;
  readonly id: CallId;
}

const progress: CallProgress = { state: 'queued', attempt: 1, losses: 0, startedAtMs: null, endedAtMs: null };

/** A spawned call of an instance that is active now, as its worker records it. */
async function recorded(id: string, set: Partial<CallProgress> = {}): Promise<Recorded> {
  const { epoch, handle } = await client.create(id);
  const identity = identityOf(id);
  const key = instanceKey(identity);
  drawn += 1;
  const call = callId(key, String(drawn).padStart(22, '0'));
  const { generation = 0 } = handle ?? {};
  const head = { identity, generation, method: 'add', isIdempotent: false, spawnedAtMs: 1 };
  const { calls } = cluster.store;
  await calls.adopt({ key, epoch });
  const added = { id: call, head, order: 1, progress: { ...progress, ...set } };
  const change = { kind: 'add' as const, call: added, args: new Uint8Array(0) };
  await calls.commit({ key, epoch }, { sequence: 1, changes: [change] });
  return { key, epoch, id: call };
}

async function ended({ key, epoch, id }: Recorded, value: unknown): Promise<void> {
  const change = { kind: 'end' as const, id, answer: Uint8Array.from(encodeValue(value)) };
  const done = { ...progress, state: 'succeeded' as const, startedAtMs: 2, endedAtMs: 3 };
  await cluster.store.calls.commit({ key, epoch }, { sequence: 2, changes: [{ ...change, progress: done }] });
}

const expectNow = ({ key }: Recorded) => cluster.store.alarms.expect(account, key, Date.now() - 5);

describe('what routers do about open calls', () => {
  const pin = { state: 'active', epoch: 7, bootId: 'b' } as never;
  it.each([
    ['none is open', { open: 0, adoptedBy: 7 }, pin, true, 'nothing'],
    ['their activation is in hands', { open: 1, adoptedBy: 7 }, pin, true, 'watch'],
    ['its worker is silent', { open: 1, adoptedBy: 7 }, pin, false, 'resume'],
    ['another activation has not adopted them', { open: 1, adoptedBy: 6 }, pin, true, 'resume'],
    ['the instance is nowhere', { open: 1, adoptedBy: 7 }, { state: 'idle', epoch: 7 } as never, true, 'resume'],
    ['there is no pin', { open: 1, adoptedBy: 7 }, null, true, 'resume'],
  ])('where %s', (...[, pending, seen, isHeard, care]) => {
    expect(careFor(pending, seen, () => isHeard)).toBe(care);
  });

  it('R4: those of an instance that was left are resumed where it is placed anew', async () => {
    const worker = await start();
    const call = await recorded('a');
    await worker.release(call.key, call.epoch);
    await expectNow(call);
    look();
    await vi.waitUntil(() => worker.resumed.length > 0, { timeout: 60_000 });
    const [placed] = worker.held;
    expect(placed?.epoch).toBeGreaterThan(call.epoch);
    expect(worker.resumed).toEqual([`${call.key} ${placed?.epoch}`]);
  });

  it('R4: the loss of a worker has what is watched looked at before its time', async () => {
    const worker = await start();
    const { alarms } = cluster.store;
    // As if nothing ever were due.
    let rounds = 0;
    const claim: typeof alarms.claim = async (...[of, asked]) => {
      rounds += 1;
      return (asked.ahead?.withinMs ?? 0) > 0
        ? await alarms.claim(of, asked)
        : { nowMs: Date.now(), claims: [], seenMs: 0 };
    };
    cluster.addRouter({ store: { ...cluster.store, alarms: { ...alarms, claim } } });
    const [, watching] = cluster.routers;
    if (watching === undefined) throw new Error('there is no second router');
    const call = await recorded('a');
    await alarms.expect(account, call.key, Date.now() + 9_000);
    await vi.waitUntil(() => watching.workers.isFresh(worker.bootId), { timeout: 60_000 });
    looking = [keepAlarms(watching, watching.closed)];
    const other = await cluster.addWorker();
    await vi.waitUntil(() => rounds > 0 && watching.workers.isFresh(other.bootId), { timeout: 60_000 });
    await worker.die();
    await worker.releaseLease();
    await vi.waitUntil(() => other.resumed.length > 0, { timeout: 60_000 });
    expect(other.resumed).toEqual([`${call.key} ${other.held[0]?.epoch}`]);
  });

  it('R4: one look lasts until the lease of a worker is over whose requests nobody answers', async () => {
    const worker = await start();
    const call = await recorded('a');
    let looks = 0;
    const { alarms } = cluster.store;
    const claim: typeof alarms.claim = async (...asked) => {
      const found = await alarms.claim(...asked);
      looks += found.claims.length;
      return found;
    };
    const looker = cluster.addRouter({ store: { ...cluster.store, alarms: { ...alarms, claim } } });
    const other = await cluster.addWorker();
    await vi.waitUntil(() => looker.workers.isFresh(other.bootId), { timeout: 60_000 });
    worker.stopBeating();
    worker.deafen();
    let asked = 0;
    // Its host is lost: what is sent there is swallowed, and its lease ends later.
    cluster.connect().subscribe(workerControlSubject(account, worker.workerId), () => {
      asked += 1;
      if (asked === 3) void worker.die().then(() => worker.releaseLease());
    });
    await vi.waitUntil(() => !looker.workers.isFresh(worker.bootId), { timeout: 60_000 });
    await expectNow(call);
    looking = [keepAlarms(looker, looker.closed)];
    await vi.waitUntil(() => other.resumed.length > 0, { timeout: 60_000 });
    expect(asked).toBeGreaterThanOrEqual(3);
    expect(looks).toBe(1);
  });

  it('R4: a worker that is heard as another boot, or whose lease was seen to be over, is lost', async () => {
    const worker = await start();
    const { workers } = router();
    const again = await BusWorker.start({
      ...{ account, workerId: worker.workerId, bus: cluster.connect(), store: cluster.store, leaseTtlMs: 60_000 },
    });
    worker.stopBeating();
    await vi.waitUntil(() => workers.isFresh(again.bootId), { timeout: 60_000 });
    expect(workers.isFresh(worker.bootId)).toBe(false);
    again.stopBeating();
    workers.sawEnd(again.bootId);
    expect(workers.isFresh(again.bootId)).toBe(false);
    await again.die();
  });

  it('R4: those of an instance that was closed fail, and those that had begun are lost', async () => {
    await start();
    const [waits, runs] = [await recorded('waits'), await recorded('runs', { state: 'running', startedAtMs: 2 })];
    await Promise.all(['waits', 'runs'].map((id) => client.closeNamed(id)));
    await Promise.all([waits, runs].map(expectNow));
    look();
    const known = async ({ id }: Recorded) => await cluster.store.calls.get(id);
    await vi.waitUntil(async () => (await known(waits))?.answer && (await known(runs))?.answer, { timeout: 60_000 });
    const [first, second] = [await known(waits), await known(runs)];
    expect([first?.progress.state, second?.progress.state]).toEqual(['failed', 'lost']);
    expect(decodeError(first?.answer ?? new Uint8Array(0)).code).toBe('InstanceClosed');
    expect(decodeError(second?.answer ?? new Uint8Array(0)).code).toBe('OutcomeUnknown');
  });
});

it('R4: those of an instance that is made again while they are given up are looked at again', async () => {
  const worker = await start();
  const { calls } = cluster.store;
  let again = 0;
  const abandon: typeof calls.abandon = async (...given) => {
    if (again === 0) again = (await client.create('a')).epoch;
    await calls.abandon(...given);
  };
  cluster.addRouter({ store: { ...cluster.store, calls: { ...calls, abandon } } });
  const call = await recorded('a');
  await client.closeNamed('a');
  await expectNow(call);
  looking = cluster.routers.slice(1).map((each) => keepAlarms(each, each.closed));
  await vi.waitUntil(() => worker.resumed.length > 0, { timeout: 60_000 });
  expect(worker.resumed).toEqual([`${call.key} ${again}`]);
});

describe('asking a router for a spawned call', () => {
  it('R3: waits until it has ended, and no longer than it was told', async () => {
    await start();
    const call = await recorded('a');
    const ask = { id: call.id, explain: false };
    expect(await getSpawned(router(), { ...ask, waitMs: 1 }, request())).toMatchObject({
      ...{ id: call.id, state: 'queued', method: 'add', attempt: 1, answer: undefined },
    });
    const waiting = getSpawned(router(), { ...ask, waitMs: 30_000 }, request());
    await ended(call, 'done');
    expect(await waiting).toMatchObject({ state: 'succeeded', answer: Buffer.from(encodeValue('done')) });
    const explained = await getSpawned(router(), { ...ask, waitMs: 0, explain: true }, request());
    expect(explained.where?.instance).toMatchObject({ id: 'a', state: 'active' });
    const listed = await listSpawned(router(), { instance: identityOf('a'), limit: 0 }, request());
    expect(listed.calls).toMatchObject([{ id: call.id, state: 'succeeded', answer: undefined }]);
  });

  it('R3: looks again when it is said that the call has ended, and not at what else is said of its instance', async () => {
    await start();
    const { calls } = cluster.store;
    const looks: string[] = [];
    const get: typeof calls.get = async (id) => {
      looks.push(id);
      return await calls.get(id);
    };
    cluster.addRouter({ store: { ...cluster.store, calls: { ...calls, get } } });
    const watching = cluster.routers[1] as (typeof cluster.routers)[number];
    // Nobody looks of his own accord: that clock stands still.
    const ends = new SpawnedEnds(new TimerWheel(new ManualClock(), 10));
    const { bus, clock, log } = watching;
    const events = new PinEvents({ bus, clock, log, accounts: [account], ends });
    const call = await recorded('a');
    const other = callId(call.key, 'y'.repeat(22));
    const waiting = getSpawned({ ...watching, ends }, { id: call.id, explain: false, waitMs: 30_000 }, request());
    await vi.waitUntil(() => looks.length === 1);
    const tell = (endedCalls: readonly string[]): void => {
      const event = PinEvent.encode({ key: call.key, epoch: call.epoch, state: 'active', endedCalls: [...endedCalls] });
      bus.publish(pinEventSubject(account, call.key), event.finish());
    };
    tell([]);
    tell([other]);
    await ended(call, 'done');
    tell([other, call.id]);
    expect(await waiting).toMatchObject({ state: 'succeeded' });
    expect(looks).toEqual([call.id, call.id]);
    events.close();
  });

  it('of another account, of nobody, or by what is no id, it knows none', async () => {
    await start();
    const { id, key } = await recorded('a');
    const ask = { id, waitMs: 0, explain: false };
    await expect(getSpawned(router(), ask, request('other'))).rejects.toMatchObject({ code: 'NotFound' });
    const nobody = callId(key, 'x'.repeat(22));
    await expect(getSpawned(router(), { ...ask, id: nobody }, request())).rejects.toMatchObject({ code: 'NotFound' });
    const wrong = getSpawned(router(), { ...ask, id: '../x' }, request());
    await expect(wrong).rejects.toMatchObject({ code: 'InvalidArgument' });
    await expect(cancelSpawned(router(), { id: nobody }, request())).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('R6: a cancel goes to the worker that has it, wherever that is by then', async () => {
    const worker = await start();
    const call = await recorded('a');
    expect(await cancelSpawned(router(), { id: call.id }, request())).toEqual({ outcome: 'never-ran' });
    await worker.release(call.key, call.epoch);
    expect(await cancelSpawned(router(), { id: call.id }, request())).toEqual({ outcome: 'never-ran' });
    expect(worker.cancelled).toEqual([
      `${call.key} ${call.epoch} ${call.id}`,
      `${call.key} ${worker.held[0]?.epoch} ${call.id}`,
    ]);
    const done = await recorded('b');
    await ended(done, 1);
    expect(await cancelSpawned(router(), { id: done.id }, request())).toEqual({ outcome: 'already-finished' });
  });

  it('R6: one of an instance that is closed has finished', async () => {
    await start();
    const call = await recorded('a');
    await client.closeNamed('a');
    expect(await cancelSpawned(router(), { id: call.id }, request())).toEqual({ outcome: 'already-finished' });
  });
});
