import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { ClassOptions } from '../../../src/common/manifest.js';
import type { Pin } from '../../../src/common/pin.js';
import type { Store } from '../../../src/common/ports/store.js';
import { type CallId, callId } from '../../../src/common/spawned-call.js';
import { decodeValue, encodeArgs } from '../../../src/wire/codec/codec.js';
import { decodeError } from '../../../src/wire/errors.js';
import { CancelReason, FrameKind, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import type { Answers, ScriptedClient } from '../scripted-client.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
let drawn = 0;
afterEach(() => world[Symbol.asyncDispose]());

async function alive(options: Partial<ClassOptions> = {}, storeOf?: (store: Store) => Store) {
  world = await WorkerWorld.start(storeOf === undefined ? {} : { storeOf });
  await world.deploy('Jobs', { options });
  return await world.alive('Jobs', 'a');
}

function idFor(pin: Pin): CallId {
  drawn += 1;
  return callId(instanceKey(pin.identity), String(drawn).padStart(22, '0'));
}

interface Spawn {
  readonly client: ScriptedClient;
  readonly pin: Pin;
  readonly method?: string;
  readonly id?: CallId;
  readonly isRepeated?: boolean;
}

function spawn({ client, pin, method = 'work', id = idFor(pin), isRepeated = false }: Spawn, ...args: unknown[]) {
  return { id, answers: client.call(method, args, { meta: { spawn: { id, isRepeated } } }) };
}

async function spawned(ask: Spawn, ...args: unknown[]): Promise<CallId> {
  const { id, answers } = spawn(ask, ...args);
  await answers.value();
  return id;
}

async function record(id: CallId) {
  const call = await world.store.calls.get(id);
  if (call === null) throw new Error(`${id} is not recorded`);
  return call;
}

const stateOf = async (id: CallId) => (await world.store.calls.get(id))?.progress.state ?? 'unknown';

async function becomes(id: CallId, state: string): Promise<void> {
  while ((await stateOf(id)) !== state) await turns(1);
}

async function result(id: CallId): Promise<unknown> {
  await becomes(id, 'succeeded');
  return decodeValue((await record(id)).answer ?? new Uint8Array(0));
}

async function error(id: CallId): Promise<HoldfastError> {
  while ((await record(id)).progress.endedAtMs === null) await turns(1);
  return decodeError((await record(id)).answer ?? new Uint8Array(0));
}

/** The instance is activated here once more, as after the loss of its worker. */
async function again(pin: Pin) {
  const made = await world.alive('Jobs', pin.identity.id);
  await resume(made.pin);
  return made;
}

async function resume(pin: Pin): Promise<boolean> {
  const value = { key: instanceKey(pin.identity), epoch: pin.epoch };
  const reply = await world.ask({ $case: 'resumeCalls', value });
  return reply.$case === 'resumeCalls' && reply.value.resumed;
}

async function cancel(pin: Pin, id: CallId): Promise<string> {
  const value = { key: instanceKey(pin.identity), epoch: pin.epoch, id };
  const reply = await world.ask({ $case: 'cancelSpawned', value });
  return reply.$case === 'cancelSpawned' ? reply.value.outcome : reply.$case;
}

describe('spawned calls at the worker', () => {
  it('R1: are answered when they are recorded, and go on when their client is gone', async () => {
    const { pin, client, container } = await alive();
    const id = await spawned({ client, pin }, 'x');
    const run = await container.call(1);
    expect(run.args).toEqual(['x']);
    expect((await record(id)).progress).toMatchObject({ state: 'running', attempt: 1, losses: 0 });
    expect((await record(id)).head).toMatchObject({ identity: pin.identity, method: 'work', isIdempotent: false });
    client.vanish();
    run.result({ done: true });
    expect(await result(id)).toEqual({ done: true });
    const { claims } = await world.store.alarms.claim('default', { limit: 8, forMs: 30_000 });
    expect(claims).toEqual([]);
    world.clock.jump(10_000);
    expect((await world.store.alarms.claim('default', { limit: 8, forMs: 30_000 })).claims).toHaveLength(1);
  });

  it('C1, C2: take their place among the others, are refused for want of one, and then are recorded nowhere', async () => {
    const { pin, client, container } = await alive({ maxPendingTasks: 2 });
    client.call('work', ['plain']);
    const ids = [await spawned({ client, pin }, 1), await spawned({ client, pin }, 2)];
    const { id, answers } = spawn({ client, pin }, 3);
    expect((await answers.error()).code).toBe('PendingLimitExceeded');
    expect(await stateOf(id)).toBe('unknown');
    expect(await Promise.all(ids.map(stateOf))).toEqual(['queued', 'queued']);
    for (const n of [1, 2, 3]) (await container.call(n)).result(n);
    expect(await Promise.all(ids.map(result))).toEqual([2, 3]);
    expect(container.calls.map(({ args }) => args[0])).toEqual(['plain', 1, 2]);
  });

  it('R4: one that has waited begins only when the store knows that it does, unless it may run twice', async () => {
    const held: (() => void)[] = [];
    let isHolding = false;
    const { pin, client, container } = await alive({}, (store) => ({
      ...store,
      calls: {
        ...store.calls,
        commit: async (owner, commit) => {
          if (isHolding) await new Promise<void>((resolve) => held.push(resolve));
          return await store.calls.commit(owner, commit);
        },
      },
    }));
    const first = await spawned({ client, pin });
    const waits = await spawned({ client, pin });
    isHolding = true;
    (await container.call(1)).result(1);
    await until(() => held.length === 1);
    await turns(20);
    expect(container.calls).toHaveLength(1);
    isHolding = false;
    held.shift()?.();
    const run = await container.call(2);
    expect(await Promise.all([stateOf(first), stateOf(waits)])).toEqual(['succeeded', 'running']);
    const may = await spawned({ client, pin, method: 'redo' });
    isHolding = true;
    run.result(2);
    (await container.call(3)).result(3);
    await until(() => held.length === 1);
    isHolding = false;
    held.shift()?.();
    expect(await result(may)).toBe(3);
  });

  it('R2: the result of an activation that is over is refused, and its container stopped', async () => {
    const { pin, client, container } = await alive();
    const id = await spawned({ client, pin });
    const run = await container.call(1);
    const now = await world.pinNow('Jobs', 'a');
    const expectNow = { generation: now.generation, epoch: now.epoch, state: now.state };
    const fields = { ...now, state: 'placing' as const };
    const { applied } = await world.store.pins.change(now.key, {
      ...{ expect: expectNow, opId: 'stolen', epoch: 'next', generation: 'keep', transitions: [], ttlMs: null },
      fields,
    });
    expect(applied).toBe(true);
    run.result('too late');
    await until(() => container.kills > 0);
    expect(await stateOf(id)).toBe('running');
  });

  it('R4: when the container dies what waited and what may run twice goes on, and the rest is lost', async () => {
    const { pin, client, container } = await alive({ concurrentRequests: 2 });
    const once = await spawned({ client, pin }, 'once');
    const twice = await spawned({ client, pin, method: 'redo' }, 'twice');
    const waits = await spawned({ client, pin }, 'waits');
    await container.call(2);
    container.die();
    await world.stateBecomes(pin, 'idle');
    expect(await Promise.all([once, twice, waits].map(stateOf))).toEqual(['lost', 'queued', 'queued']);
    expect((await error(once)).code).toBe('OutcomeUnknown');
    container.slots.clear();
    while ((await world.store.alarms.claim('default', { limit: 8, forMs: 30_000 })).claims.length === 0) await turns(1);
    const next = await again(pin);
    (await next.container.call(1)).result('again');
    (await next.container.call(2)).result('first');
    expect(await Promise.all([result(twice), result(waits)])).toEqual(['again', 'first']);
    expect(next.container.calls.map(({ args }) => args[0])).toEqual(['twice', 'waits']);
    expect((await record(twice)).progress.losses).toBe(1);
  });

  it('R4: what an ended worker has left stays as it was, and somebody is to look', async () => {
    const { pin, client, container } = await alive({ concurrentRequests: 2 });
    const ids = [];
    for (const method of ['work', 'redo', 'redo']) ids.push(await spawned({ client, pin, method }, method));
    await container.call(2);
    await world.worker.abandon();
    expect(await Promise.all(ids.map(stateOf))).toEqual(['running', 'running', 'queued']);
    const { claims } = await world.store.alarms.claim('default', { limit: 8, forMs: 30_000 });
    expect(claims).toMatchObject([{ key: instanceKey(pin.identity) }]);
  });

  it('C10: a drain lets those that run end, and what waits goes on elsewhere', async () => {
    const { pin, client, container } = await alive();
    const [runs, waits] = [await spawned({ client, pin }), await spawned({ client, pin })];
    const run = await container.call(1);
    const released = world.ask({
      $case: 'release',
      value: { key: instanceKey(pin.identity), epoch: pin.epoch, reason: 'drain' },
    });
    await turns(10);
    run.result('ended');
    await released;
    expect(await result(runs)).toBe('ended');
    expect(await stateOf(waits)).toBe('queued');
    expect(await world.stateOf(pin)).toBe('idle');
    const next = await again(pin);
    (await next.container.call(1)).result('elsewhere');
    expect(await result(waits)).toBe('elsewhere');
  });

  it('R4: those that were left are admitted where there is room, in their order, and come again where there is none', async () => {
    const { pin, client, container } = await alive();
    const ids = [];
    for (const n of [1, 2, 3, 4]) ids.push(await spawned({ client, pin, method: 'redo' }, n));
    await container.call(1);
    container.die();
    container.slots.clear();
    await world.stateBecomes(pin, 'idle');
    await world.redeploy('Jobs', { options: { maxPendingTasks: 1 } });
    const next = await again(pin);
    next.container.onCall = (run) => run.result(run.args[0]);
    const first = await next.container.call(1);
    first.result(first.args[0]);
    await becomes(ids[1] as CallId, 'succeeded');
    await world.pass(1_000, 100);
    expect(await Promise.all(ids.map(result))).toEqual([1, 2, 3, 4]);
    expect(next.container.calls.slice(0, 2).map(({ args }) => args[0])).toEqual([1, 2]);
  });

  it('C9: a close refuses those that wait, and their records say so before it ends', async () => {
    const { pin, client, container } = await alive();
    const [runs, waits] = [await spawned({ client, pin }), await spawned({ client, pin })];
    await container.call(1);
    container.onCancel = (run) => run.fail(new HoldfastError('Cancelled', 'stopped', { outcome: 'ran' }));
    await world.close(pin, { force: true });
    expect((await error(waits)).code).toBe('InstanceClosed');
    expect((await error(runs)).outcome).toBe('ran');
    expect(await Promise.all([runs, waits].map(stateOf))).toEqual(['failed', 'failed']);
  });

  it('C6: is retried after its pause, with its attempt, and not where the error forbids it', async () => {
    const retries = { maxRetries: 1, initialDelayMs: 1_000, backoffCoefficient: 2, maxDelayMs: 60_000 };
    const { pin, client, container } = await alive({ retries });
    const id = await spawned({ client, pin });
    (await container.call(1)).fail(new HoldfastError('UserError', 'no', { outcome: 'ran' }));
    while ((await record(id)).progress.attempt !== 2) await turns(1);
    expect(container.calls).toHaveLength(1);
    await world.pass(1_000);
    (await container.call(2)).fail(new HoldfastError('UserError', 'no again', { outcome: 'ran' }));
    expect((await error(id)).message).toBe('no again');
    expect((await record(id)).progress).toMatchObject({ state: 'failed', attempt: 2 });
    const never = await spawned({ client, pin });
    const cause = Object.assign(new Error('x'), { nonRetryable: true });
    (await container.call(3)).fail(new HoldfastError('UserError', 'x', { outcome: 'ran', cause }));
    await becomes(never, 'failed');
    expect((await record(never)).progress.attempt).toBe(1);
  });

  it('R1: asked for again it is spawned once, whatever has become of it', async () => {
    const { pin, client, container } = await alive();
    const id = idFor(pin);
    const asked = [1, 2, 3].map(() => spawn({ client, pin, id, isRepeated: true }).answers);
    await Promise.all(asked.map((answers: Answers) => answers.value()));
    (await container.call(1)).result('once');
    await result(id);
    await spawned({ client, pin, id, isRepeated: true });
    await turns(20);
    expect(container.calls).toHaveLength(1);
  });

  it('R1: who takes back what somebody else has spawned with the same key takes back nothing of theirs', async () => {
    const looks: (() => void)[] = [];
    let isHolding = false;
    const { pin, client, container } = await alive({}, (store) => ({
      ...store,
      calls: {
        ...store.calls,
        get: async (id) => {
          if (isHolding) await new Promise<void>((resolve) => looks.push(resolve));
          return await store.calls.get(id);
        },
      },
    }));
    const id = await spawned({ client, pin, isRepeated: true });
    const run = await container.call(1);
    isHolding = true;
    const { answers } = spawn({ client, pin, id, isRepeated: true });
    await until(() => looks.length === 1);
    client.cancel(answers, CancelReason.deadline);
    expect(await answers.error()).toMatchObject({ code: 'DeadlineExceeded', outcome: 'unknown' });
    isHolding = false;
    looks.shift()?.();
    await turns(20);
    expect(run.cancelled).toBeNull();
    run.result('theirs');
    expect(await result(id)).toBe('theirs');
  });

  it('C1: arguments of calls that are not admitted yet are bounded, and what is refused or taken back holds none', async () => {
    const { pin, client, container } = await alive();
    const payload = Buffer.from(encodeArgs(['x'.repeat(1_000_000)]));
    const ask = () => client.call('work', [], { payload, meta: { spawn: { id: idFor(pin), isRepeated: false } } });
    const asked = Array.from({ length: Math.floor(67_108_864 / payload.length) }, ask);
    await until(() => asked.every(({ credit }) => credit > 0));
    const refused = await ask().error();
    expect(refused).toMatchObject({ code: 'PendingLimitExceeded', outcome: 'not-run' });
    expect(refused.details).toMatchObject({ limit: 67_108_864, bytes: payload.length, retryAfterMs: 100 });
    await spawned({ client, pin }, 'small');
    (await container.call(1)).result(1);
    const [first] = asked as [Answers];
    client.cancel(first);
    await first.answered();
    const next = ask();
    await until(() => next.credit > 0);
    for (let at = inlinePayloadBytes; at < payload.length; at += inlinePayloadBytes)
      client.chunk(next, payload.subarray(at, at + inlinePayloadBytes));
    await next.value();
    const another = ask();
    await until(() => another.credit > 0);
  });

  it('R1: arguments that come in parts, large results, and what is too large', async () => {
    const { pin, client, container } = await alive();
    const payload = Buffer.from(encodeArgs(['x'.repeat(200_000)]));
    const id = idFor(pin);
    const answers = client.call('work', [], { payload, meta: { spawn: { id, isRepeated: false } } });
    await until(() => answers.credit > 0);
    expect(answers.credit).toBe(payload.length - inlinePayloadBytes);
    for (let at = inlinePayloadBytes; at < payload.length; at += inlinePayloadBytes)
      client.chunk(answers, payload.subarray(at, at + inlinePayloadBytes));
    await answers.value();
    const run = await container.call(1);
    run.ask(payload.length - run.payload.length);
    await until(() => run.payload.length === payload.length);
    expect(run.args).toEqual(['x'.repeat(200_000)]);
    run.part(1_048_577, Buffer.alloc(65_536));
    expect(await error(id)).toMatchObject({ code: 'PayloadTooLarge', outcome: 'ran' });
    const large = client.call('work', [], {
      payload: Buffer.alloc(1_048_577),
      meta: { spawn: { id: idFor(pin), isRepeated: false } },
    });
    expect((await large.error()).code).toBe('PayloadTooLarge');
  });

  it('C5: is cancelled by id where it waits, where it runs, and no more when it has ended', async () => {
    const { pin, client, container } = await alive();
    const [runs, waits] = [await spawned({ client, pin }), await spawned({ client, pin })];
    const run = await container.call(1);
    expect(await cancel(pin, waits)).toBe('never-ran');
    expect(await cancel(pin, runs)).toBe('aborted');
    await until(() => run.cancelled !== null);
    expect(await Promise.all([runs, waits].map(stateOf))).toEqual(['cancelled', 'cancelled']);
    expect(await cancel(pin, runs)).toBe('already-finished');
  });

  it('C9: a generator cannot be spawned, nor a call of another instance, nor with a meta that is malformed', async () => {
    const { pin, client } = await alive();
    const meta = { spawn: { id: idFor(pin), isRepeated: false } };
    expect((await client.call('count', [], { meta, generator: true }).error()).code).toBe('InvalidArgument');
    const other = callId(instanceKey({ ...pin.identity, id: 'b' }), '0'.repeat(22));
    expect((await spawn({ client, pin, id: other }).answers.error()).code).toBe('InvalidArgument');
    client.send(FrameKind.Cancel, { ref: 99, body: Uint8Array.of(0) });
    await spawned({ client, pin });
  });

  it('C3: those of an instance that does not come to life fail with the reason', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Jobs');
    world.starter.prepare = (container) => {
      container.onActivate = () => undefined;
    };
    const { pin, client, container } = await world.entering('Jobs', 'a');
    const id = await spawned({ client, pin });
    expect(await stateOf(id)).toBe('queued');
    container.die();
    expect((await error(id)).code).toBe('ActivationFailed');
    expect(await stateOf(id)).toBe('failed');
  });
});
