import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import type { BootId, WorkerId } from '../../../src/common/ids.js';
import type { ClassOptions } from '../../../src/common/manifest.js';
import { Container } from '../../../src/runtime/hosting/container.js';
import { Loan } from '../../../src/runtime/loans/loan.js';
import { encodeArgs, encodeValue, hashArgs } from '../../../src/wire/codec/codec.js';
import { encodeError } from '../../../src/wire/errors.js';
import { CancelReason, FrameKind, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import { encodeStateRequest } from '../../../src/wire/frames/state-bodies.js';
import { BorrowReply } from '../../../src/wire/gen/holdfast/v1/router.js';
import { createChannelPair } from '../../../src/wire/link/channel-pair.js';
import { LinkHost } from '../../../src/wire/link/link-host.js';
import { ScriptedContainer } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

/** What `bind` makes of no arguments. */
const shared = `bind-${hashArgs(encodeArgs([]))}`;

async function pool(options: Partial<ClassOptions>) {
  await world.deploy('Pool', { options: { maxContainers: 3, ...options } });
  return await world.alive('Pool', shared);
}

const running = (): ScriptedContainer[] => world.starter.running;

describe('the pool of an instance that is shared by its arguments', () => {
  it('P2: has the slots of all its containers and one queue, whichever of them are there yet', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxPendingTasks: 2, concurrentRequests: 2 });
    const letGo = world.starter.hold();
    const calls = Array.from({ length: 8 }, (_, n) => client.call('work', [n]));
    const ninth = client.call('work', [8]);
    expect(await ninth.error()).toMatchObject({ code: 'PendingLimitExceeded', details: { limit: 2, pending: 2 } });
    await world.runs(pin, 2);
    expect(await world.describe(pin)).toEqual({ running: 2, pending: 6 });
    letGo();
    await world.runs(pin, 6);
    expect(running().length).toBe(3);
    await Promise.all(running().map((container) => container.call(2)));
    const ran = running().flatMap((container) => container.calls.map(({ args }) => args[0]));
    expect(ran.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
    for (const container of running()) for (const call of container.calls) call.result(call.args[0]);
    for (const [n, call] of calls.slice(0, 6).entries()) expect(await call.value()).toBe(n);
    await world.runs(pin, 2);
  });

  it('P2: gives a call to the container that runs least, and those that wait in their order', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxContainers: 2, concurrentRequests: 2 });
    for (let n = 0; n < 5; n += 1) client.call('work', [n]);
    await world.runs(pin, 4);
    const [first, second] = running() as [ScriptedContainer, ScriptedContainer];
    await Promise.all([first.call(2), second.call(2)]);
    for (const call of [...second.calls]) call.result('done');
    await until(() => second.calls.length === 3);
    expect(second.calls[2]?.args).toEqual([4]);
    client.call('work', [5]);
    await until(() => second.calls.length === 4);
    expect(first.calls.length).toBe(2);
  });

  it('P3: ends containers that run nothing for their time, and sleeps when none has anything to do', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ idleTimeoutMs: 10_000 });
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await world.runs(pin, 3);
    expect(running().length).toBe(3);
    const [first, ...others] = running();
    for (const container of others) (await container.call(1)).result('done');
    await Promise.all(calls.slice(1).map((call) => call.answered()));
    await world.pass(25_000);
    await until(() => running().length === 1);
    expect(running()).toEqual([first]);
    (await first?.call(1))?.result('done');
    await calls[0]?.answered();
    await world.pass(25_000);
    await world.stateBecomes(pin, 'idle');
    await until(() => running().length === 0);
  });

  it('P3: keeps a container that still sends an answer', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxContainers: 2, idleTimeoutMs: 10_000 });
    for (const n of [1, 2]) client.call('work', [n]);
    await world.runs(pin, 2);
    const [first, second] = running() as [ScriptedContainer, ScriptedContainer];
    await first.call(1);
    const sending = await second.call(1);
    const bytes = encodeValue('x'.repeat(100_000), 'result');
    sending.part(bytes.length, bytes.subarray(0, inlinePayloadBytes));
    await world.runs(pin, 1);
    await world.pass(25_000);
    expect(running()).toEqual([first, second]);
  });

  it('P3: keeps its least, and as many beside those that run calls', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({
      maxContainers: 4,
      minContainers: 2,
      bufferContainers: 1,
      idleTimeoutMs: 10_000,
    });
    const calls = [1, 2].map((n) => client.call('work', [n]));
    await until(() => running().length === 3);
    for (const container of running().slice(0, 2)) (await container.call(1)).result('done');
    await Promise.all(calls.map((call) => call.answered()));
    await world.pass(60_000);
    await until(() => running().length === 2);
    await world.pass(60_000);
    expect(await world.stateOf(pin)).toBe('active');
    expect(running().length).toBe(2);
  });

  it('P4: loses the calls of a container that dies, and starts another one for those that wait', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxContainers: 2 });
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await world.runs(pin, 2);
    const [first, second] = running() as [ScriptedContainer, ScriptedContainer];
    await Promise.all([first.call(1), second.call(1)]);
    second.die({ exitCode: 7 });
    expect(await calls[1]?.error()).toMatchObject({ code: 'OutcomeUnknown' });
    const third = await world.starter.container(3);
    expect((await third.call(1)).args).toEqual([3]);
    first.die();
    third.die();
    expect(await calls[0]?.error()).toMatchObject({ code: 'OutcomeUnknown' });
    expect(await calls[2]?.error()).toMatchObject({ code: 'OutcomeUnknown' });
    expect(await world.stateOf(pin)).toBe('active');
    const next = client.call('work', [4]);
    (await (await world.starter.container(4)).call(1)).result('again');
    expect(await next.value()).toBe('again');
  });

  it('P4, D4: stores what each of its containers writes, whatever number that has in it', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxContainers: 2 });
    for (const n of [0, 1]) client.call('work', [n]);
    await until(() => running().length === 2 && running().every(({ calls }) => calls.length === 1));
    for (const container of running()) {
      const commit = { sequence: 1, changes: [{ key: container.id, value: Buffer.of(0, 7) }] };
      const [slot = 0] = container.slots.keys();
      container.send(FrameKind.State, { ref: 1, slot, body: encodeStateRequest({ op: 'commit', commit }) });
    }
    await until(() => running().every(({ frames }) => frames.some(({ kind }) => kind === FrameKind.StateReply)));
    const owner = { key: pin.key, epoch: pin.epoch };
    for (const { id } of running()) expect(await world.store.state.get(owner, id)).toEqual({ value: Buffer.of(0, 7) });
  });

  it('P4: cancels what waits for a container, what waits for a slot and what runs', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ maxContainers: 2 });
    const letGo = world.starter.hold();
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await world.waits(pin, 2);
    client.cancel(calls[1] as never, CancelReason.caller);
    expect(await calls[1]?.error()).toMatchObject({ code: 'Cancelled', outcome: 'not-run' });
    letGo();
    expect((await (await world.starter.container(2)).call(1)).args).toEqual([3]);
    await (await world.starter.container(1)).call(1);
    client.cancel(calls[0] as never, CancelReason.caller);
    expect(await calls[0]?.error()).toMatchObject({ code: 'Cancelled', outcome: 'ran' });
  });

  it('P4: tells those who wait why there is no container, where there is no other', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await pool({ maxContainers: 2 });
    world.starter.prepare = (started) => {
      const error = new HoldfastError('ActivationFailed', 'enter threw');
      started.onActivate = (slot) => started.send(FrameKind.ActivationFailed, { slot, body: encodeError(error) });
    };
    const waiting = client.call('work', [1]);
    const second = client.call('work', [2]);
    await until(() => world.starter.started.length >= 2);
    (await container.call(1)).result('one');
    expect(await waiting.value()).toBe('one');
    (await container.call(2)).result('two');
    expect(await second.value()).toBe('two');
    container.die();
    const third = client.call('work', [3]);
    await world.pass(2_000);
    expect(await third.error()).toMatchObject({ code: 'ActivationFailed' });
  });

  it('P1: waits with its calls where its worker has no room for another container', async () => {
    world = await WorkerWorld.start({ config: { maxContainers: 1 } });
    const { client, container } = await pool({});
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await turns(20);
    expect(world.starter.asked).toBe(1);
    for (const [index, call] of calls.entries()) {
      (await container.call(index + 1)).result(index);
      expect(await call.value()).toBe(index);
    }
  });

  it('P4: closes with all its containers, also one that is being started', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await pool({ exitTimeoutMs: 1_000 });
    const calls = [1, 2, 3].map((n) => client.call('work', [n]));
    await world.runs(pin, 3);
    for (const container of running()) (await container.call(1)).result('done');
    await Promise.all(calls.map((call) => call.answered()));
    expect(await world.close(pin)).toMatchObject({ closed: true });
    await until(() => running().length === 0);
  });
});

describe('a class with several containers', () => {
  it('P1: has one for each instance that has a name of its own', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Pool', { options: { maxContainers: 3 } });
    const { pin, client, container } = await world.alive('Pool', 'named');
    for (let n = 0; n < 3; n += 1) client.call('work', [n]);
    await container.call(1);
    await world.waits(pin, 2);
    await turns(20);
    expect(world.starter.asked).toBe(1);
  });
});

describe('a pool whose containers another worker lends', () => {
  /** A router that knows one lender, and that: one container for each loan. */
  async function borrowing(options: Partial<ClassOptions>) {
    const loans: Loan[] = [];
    const lent: ScriptedContainer[] = [];
    const cuts: (() => void)[] = [];
    const setUp = { prepare: (_container: ScriptedContainer): void => undefined };
    const openWorker = () => {
      const pair = createChannelPair();
      const { left, right } = pair;
      cuts.push(() => pair.cut());
      const container = new ScriptedContainer(`lent${lent.length}`, 128);
      setUp.prepare(container);
      lent.push(container);
      const host = new LinkHost({
        bootId: 'b2',
        clock: world.clock,
        onSession: () => {
          throw new Error('no client comes here');
        },
        onOther: (channel) => {
          const loan = new Loan(channel, world.clock, async () => new Container(container, world.clock));
          loans.push(loan);
          return loan;
        },
      });
      host.accept(right);
      return left;
    };
    const reply = { workerId: 'w2', bootId: 'b2', address: 'host:1', ticket: 'a ticket' };
    const unary = async () => BorrowReply.encode(reply).finish();
    const openRouter = (): never => {
      throw new Error('this test opens no stream to a router');
    };
    world = await WorkerWorld.start({
      transport: () => ({ unary, openRouter, openWorker, close: async () => undefined }),
    });
    // More than its own host has.
    return { ...(await pool({ cpu: 8, ...options })), loans, lent, cuts, setUp };
  }

  it('P7: has another one where one is wanted back before it is there, and nobody hears of that', async () => {
    const { client, container, loans, lent, setUp } = await borrowing({ maxContainers: 2 });
    const first = client.call('work', [1]);
    await container.call(1);
    container.die();
    expect(await first.error()).toMatchObject({ code: 'OutcomeUnknown' });
    setUp.prepare = (entering) => {
      entering.onActivate = () => undefined;
    };
    const second = client.call('work', [2]);
    await until(() => lent[0]?.slots.size === 1);
    setUp.prepare = () => undefined;
    loans[0]?.recall();
    await until(() => lent[0]?.hasExited === true);
    await turns(20);
    await world.pass(2_000);
    await until(() => lent.length === 2);
    (await (lent[1] as ScriptedContainer).call(1)).result('done');
    expect(await second.value()).toBe('done');
  });

  it('P7: gives one back when its last answer was sent in full, and has another one for calls that wait', async () => {
    const { client, container, loans, lent } = await borrowing({ maxContainers: 3 });
    client.call('work', [1]);
    await container.call(1);
    const second = client.call('work', [2]);
    await until(() => lent.length === 1);
    const sending = await (lent[0] as ScriptedContainer).call(1);
    loans[0]?.recall();
    await turns(20);
    client.call('work', [3]);
    await until(() => lent.length === 2);
    expect((await (lent[1] as ScriptedContainer).call(1)).args).toEqual([3]);
    const long = 'x'.repeat(inlinePayloadBytes);
    const bytes = encodeValue(long, 'result');
    sending.part(bytes.length, bytes.subarray(0, inlinePayloadBytes));
    await turns(20);
    expect(lent[0]).toMatchObject({ kills: 0, reasons: [] });
    sending.chunk(bytes.subarray(inlinePayloadBytes));
    expect(await second.value()).toBe(long);
    await until(() => lent[0]?.hasExited === true);
    expect(lent[0]?.reasons).toEqual(['idle']);
  });

  it('P7: aborts what still runs in it when the time for that is over', async () => {
    const { client, container, loans, lent } = await borrowing({ maxContainers: 2, exitTimeoutMs: 2_000 });
    client.call('work', [1]);
    await container.call(1);
    const second = client.call('work', [2]);
    await until(() => lent.length === 1);
    const running = await (lent[0] as ScriptedContainer).call(1);
    loans[0]?.recall();
    await turns(20);
    await world.pass(3_000);
    await until(() => running.cancelled !== null);
    expect(running.cancelled).toBe(CancelReason.forceClose);
    expect(await second.error()).toMatchObject({ outcome: 'ran' });
    expect(container.calls[0]?.cancelled).toBeNull();
  });

  /** Two containers that run a call each, and the connection to the one that is lent has broken. */
  async function withLost() {
    const made = await borrowing({ maxContainers: 2 });
    const { client, container, lent, cuts } = made;
    const first = client.call('work', [1]);
    await container.call(1);
    const second = client.call('work', [2]);
    await until(() => lent.length === 1);
    await (lent[0] as ScriptedContainer).call(1);
    cuts[0]?.();
    expect(await second.error()).toMatchObject({ code: 'OutcomeUnknown' });
    return { ...made, first, third: client.call('work', [3]) };
  }

  it('P7: has no other one for it before its lender must have killed it', async () => {
    const { lent, third } = await withLost();
    await turns(20);
    await world.pass(15_000);
    await turns(20);
    expect(lent.length).toBe(1);
    await world.pass(3_000);
    await until(() => lent.length === 2);
    (await (lent[1] as ScriptedContainer).call(1)).result('done');
    expect(await third.value()).toBe('done');
  });

  it('P7: has another one as soon as the lease of its lender is released', async () => {
    const lease = { bootId: 'b2' as BootId, workerId: 'w2' as WorkerId, account: 'default', address: 'host:1' };
    const { lent } = await withLost();
    await world.store.leases.create(lease, 60_000);
    await world.store.leases.release(lease.bootId);
    await world.pass(3_000);
    await until(() => lent.length === 2);
  });

  it('P1: does not leave before that one must have been killed', async () => {
    const { pin, container, first, third } = await withLost();
    container.calls[0]?.result('one');
    expect(await first.value()).toBe('one');
    (await container.call(2)).result('three');
    expect(await third.value()).toBe('three');
    let isClosed = false;
    const closed = world.close(pin).then((reply) => {
      isClosed = true;
      return reply;
    });
    await turns(20);
    await world.pass(10_000);
    await turns(20);
    expect([isClosed, await world.stateOf(pin)]).toEqual([false, 'closing']);
    await world.pass(10_000);
    expect(await closed).toMatchObject({ closed: true });
  });
});

describe('a worker that ends', () => {
  it('names containers that have left and whose commits are not made', async () => {
    world = await WorkerWorld.start();
    let commit: (problem: null) => void = () => undefined;
    const settled = new Promise<null>((resolve) => {
      commit = resolve;
    });
    world.starter.prepare = (started) => Object.assign(started, { hasVolumes: true, settled });
    const { pin, container } = await pool({ exitTimeoutMs: 1_000 });
    const closing = world.close(pin);
    await until(() => container.hasExited);
    await world.pass(2_000);
    await closing;
    let problem: unknown = null;
    const stopping = world.worker.stop().catch((error: unknown) => {
      problem = error;
    });
    await until(() => world.worker.over.aborted);
    await turns(50);
    expect(problem).toBeNull();
    await world.pass(61_000);
    await stopping;
    expect(problem).toMatchObject({ code: 'VolumeUnavailable', message: expect.stringContaining(container.id) });
    commit(null);
  });
});
