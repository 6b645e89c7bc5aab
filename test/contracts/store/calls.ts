import { expect, test } from 'vitest';
import { instanceKey } from '../../../src/common/ids.js';
import type { Pin } from '../../../src/common/pin.js';
import type { CallChange, OpenCall } from '../../../src/common/ports/call-store.js';
import type { StateOwner } from '../../../src/common/ports/state-store.js';
import { type CallId, type CallProgress, callId } from '../../../src/common/spawned-call.js';
import type { StoreUnderTest } from '../store-contract.js';
import { applied, closing, made, next } from './pin-changes.js';

const queued: CallProgress = { state: 'queued', attempt: 1, losses: 0, startedAtMs: null, endedAtMs: null };
const running: CallProgress = { ...queued, state: 'running', startedAtMs: 7 };
const ended = (state: CallProgress['state'] = 'succeeded'): CallProgress => ({
  ...running,
  state,
  endedAtMs: Date.now(),
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Zero, high and newline bytes survive every store. */
const odd = Uint8Array.from([0, 255, 10, 13, 195, 40]);

export function callTests(context: () => StoreUnderTest): void {
  let drawn = 0;
  const change = async (pin: Pin, to: Pin['state'], isNext = false) =>
    applied(await context().store.pins.change(instanceKey(pin.identity), next(pin, to, isNext)));
  const active = async () => {
    const pin = await change(await made(context().store), 'active');
    return { pin, owner: ownerOf(pin) };
  };
  const callOf = ({ identity, generation }: Pin, order: number, progress = queued): OpenCall => {
    drawn += 1;
    const id = callId(instanceKey(identity), `01HZZZZZZZZZZZZZZZZZ${String(drawn).padStart(6, '0')}`);
    const head = { identity, generation, method: 'work', isIdempotent: order % 2 === 0, spawnedAtMs: 5 };
    return { id, head, progress, order };
  };
  const add = (call: OpenCall, args: Uint8Array = odd): CallChange => ({ kind: 'add', call, args });
  const commit = (owner: StateOwner, sequence: number, ...changes: CallChange[]) =>
    context().store.calls.commit(owner, { sequence, changes });
  const end = (id: CallId, state?: CallProgress['state'], answer: Uint8Array = odd): CallChange => ({
    ...{ kind: 'end', id, answer },
    progress: ended(state),
  });

  test('R1: what is added is kept with its arguments, in its order, and known by its id alone', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    expect(await calls.adopt(owner)).toEqual([]);
    const made = [callOf(pin, 2), callOf(pin, 11, running), callOf(pin, 1)] as const;
    expect(await commit(owner, 1, ...made.map((call) => add(call)))).toBe('committed');
    expect(await calls.adopt(owner)).toEqual([made[2], made[0], made[1]]);
    expect(Buffer.from((await calls.arguments(made[0].id)) ?? [])).toEqual(Buffer.from(odd));
    const { order: _, ...record } = made[1];
    expect(await calls.get(made[1].id)).toEqual({ ...record, answer: null });
    expect(await calls.get(callId(owner.key, '0'.repeat(26)))).toBeNull();
    expect(await calls.arguments(callId(owner.key, '0'.repeat(26)))).toBeNull();
    expect(await calls.pending(owner.key)).toEqual({ open: 3, adoptedBy: owner.epoch });
  });

  test('R3: one that has ended is kept with its answer, is open no more, and stays as it ended', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    const [call, other] = [callOf(pin, 1), callOf(pin, 2)];
    await commit(owner, 1, add(call), add(other));
    await commit(owner, 2, { kind: 'progress', id: call.id, progress: running });
    expect((await calls.get(call.id))?.progress).toEqual(running);
    const last = end(call.id);
    await commit(owner, 3, last);
    await commit(owner, 4, end(call.id, 'failed', bytes('later')), {
      ...{ kind: 'progress', id: call.id, progress: queued },
    });
    await commit(owner, 5, add(call));
    const kept = await calls.get(call.id);
    expect(kept?.progress).toMatchObject({ state: 'succeeded', startedAtMs: 7 });
    expect(Buffer.from(kept?.answer ?? [])).toEqual(Buffer.from(odd));
    expect(await calls.arguments(call.id)).toBeNull();
    expect(await calls.adopt(owner)).toEqual([other]);
    expect((await calls.list(owner.key, 10)).map(({ id }) => id)).toEqual([other.id, call.id]);
    expect(await calls.list(owner.key, 1)).toHaveLength(1);
  });

  test('R2: an activation that is over adopts, adds and ends nothing', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    const call = callOf(pin, 1, running);
    await commit(owner, 1, add(call));
    const moved = await change(pin, 'placing', true);
    expect(await commit(owner, 2, end(call.id))).toBe('stale');
    const successor = ownerOf(await change(moved, 'active'));
    expect(await commit(owner, 2, end(call.id))).toBe('stale');
    expect(await commit(owner, 3, add(callOf(pin, 2)))).toBe('stale');
    expect(await calls.adopt(owner)).toBe('stale');
    expect(await calls.pending(owner.key)).toEqual({ open: 1, adoptedBy: owner.epoch });
    expect(await calls.adopt(successor)).toEqual([call]);
    expect((await calls.pending(owner.key)).adoptedBy).toBe(successor.epoch);
    expect(await commit(successor, 1, end(call.id))).toBe('committed');
    expect((await calls.get(call.id))?.progress.state).toBe('succeeded');
  });

  test('R2: a commit that arrives again, or late, changes nothing', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    const call = callOf(pin, 1);
    await calls.adopt(owner);
    await commit(owner, 1, add(call));
    await commit(owner, 2, { kind: 'progress', id: call.id, progress: running });
    await commit(owner, 3, { kind: 'progress', id: call.id, progress: { ...queued, attempt: 2 } });
    expect(await commit(owner, 2, { kind: 'progress', id: call.id, progress: running })).toBe('committed');
    expect((await calls.get(call.id))?.progress).toEqual({ ...queued, attempt: 2 });
    await calls.adopt(owner);
    expect(await commit(owner, 3, end(call.id))).toBe('committed');
    expect(await calls.adopt(owner)).toHaveLength(1);
  });

  test('R1: a call and its end in one commit', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    const call = callOf(pin, 1, running);
    const late = { kind: 'progress', id: call.id, progress: queued } as const;
    await commit(owner, 1, add(call, new Uint8Array(0)), end(call.id), late, end(call.id, 'failed'));
    expect(await calls.pending(owner.key)).toMatchObject({ open: 0 });
    expect((await calls.get(call.id))?.progress.state).toBe('succeeded');
    expect((await calls.list(owner.key, 10)).map(({ id }) => id)).toEqual([call.id]);
  });

  test('R4: those of an instance that is closed or lost are ended, those of any other are not', async () => {
    const { calls, pins } = context().store;
    const { pin, owner } = await active();
    const [waits, runs] = [callOf(pin, 1), callOf(pin, 2, running)];
    await commit(owner, 1, add(waits), add(runs));
    const ends = {
      unbegun: { progress: { ...ended('failed'), startedAtMs: null }, answer: bytes('never') },
      begun: { progress: ended('lost'), answer: bytes('who knows') },
    };
    await calls.abandon(owner.key, ends);
    expect(await calls.pending(owner.key)).toMatchObject({ open: 2 });
    applied(await pins.change(owner.key, closing(await change(pin, 'closing'))));
    expect(await calls.pending(owner.key)).toMatchObject({ open: 2 });
    await calls.abandon(owner.key, ends);
    expect(await calls.pending(owner.key)).toMatchObject({ open: 0 });
    const [first, second] = await Promise.all([calls.get(waits.id), calls.get(runs.id)]);
    expect([first?.progress.state, second?.progress.state]).toEqual(['failed', 'lost']);
    expect(Buffer.from(second?.answer ?? []).toString()).toBe('who knows');
    expect((await calls.list(owner.key, 10)).map(({ id }) => id).sort()).toEqual([waits.id, runs.id].sort());
  });

  test('R5: arguments and an answer of a megabyte, and many calls in one commit', async () => {
    const { calls } = context().store;
    const { pin, owner } = await active();
    const large = Buffer.alloc(1_048_576, 201);
    const call = callOf(pin, 0);
    const others = Array.from({ length: 300 }, (_, at) => callOf(pin, at + 1));
    await commit(owner, 1, add(call, large));
    await commit(owner, 2, ...others.map((each) => add(each)));
    expect(large.equals((await calls.arguments(call.id)) ?? Buffer.alloc(0))).toBe(true);
    await commit(owner, 3, end(call.id, 'succeeded', large), ...others.map(({ id }) => end(id)));
    expect(large.equals((await calls.get(call.id))?.answer ?? Buffer.alloc(0))).toBe(true);
    expect(await calls.pending(owner.key)).toMatchObject({ open: 0 });
    expect(await calls.list(owner.key, 1_000)).toHaveLength(301);
  });
}

function ownerOf({ identity, epoch }: Pin): StateOwner {
  return { key: instanceKey(identity), epoch };
}
