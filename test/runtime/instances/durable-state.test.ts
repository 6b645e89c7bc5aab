import { afterEach, describe, expect, it } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import { pinChange } from '../../../src/common/pin.js';
import type { StateStore } from '../../../src/common/ports/state-store.js';
import { encodeArgs, hashArgs } from '../../../src/wire/codec/codec.js';
import { decodeError } from '../../../src/wire/errors.js';
import { decodeBody, encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { FrameKind } from '../../../src/wire/frames/frames.js';
import { encodeStateRequest, type StateRequest } from '../../../src/wire/frames/state-bodies.js';
import type { ScriptedContainer } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const value = Buffer.of(0, 7);
const put = (sequence: number, key = 'n'): StateRequest => ({
  op: 'commit',
  commit: { sequence, changes: [{ key, value }] },
});

function ask(container: ScriptedContainer, ref: number, request: StateRequest): void {
  container.send(FrameKind.State, { ref, slot: 1, body: encodeStateRequest(request) });
}

/** The body of a good answer. @throws the error of the other one */
async function answer(container: ScriptedContainer, ref: number): Promise<Record<string, unknown>> {
  const isIt = ({ kind, ref: of }: { kind: FrameKind; ref: number }) => kind === FrameKind.StateReply && of === ref;
  await until(() => container.frames.some(isIt));
  const body = container.frames.find(isIt)?.body as Buffer;
  if (body[0] === 0) throw decodeError(body.subarray(1));
  return decodeBody(body.subarray(1));
}

/** A world whose store can be made to fail, operation by operation. */
async function troubled(fail: (operation: keyof StateStore) => void) {
  world = await WorkerWorld.start({
    storeOf: (store) => {
      const { state } = store;
      return {
        ...store,
        state: {
          ...state,
          commit: async (...of) => {
            const done = await state.commit(...of);
            fail('commit');
            return done;
          },
          get: async (...of) => {
            fail('get');
            return state.get(...of);
          },
          list: async (...of) => {
            fail('list');
            return state.list(...of);
          },
        },
      };
    },
  });
  return world.alive('Basket', 'a');
}

describe('durable state at the worker', () => {
  it('D1: is written and read at the epoch of the activation that asks', async () => {
    world = await WorkerWorld.start();
    const { pin, container } = await world.alive('Basket', 'a');
    ask(container, 1, put(1));
    expect(await answer(container, 1)).toEqual({});
    ask(container, 2, { op: 'get', key: 'n' });
    ask(container, 3, { op: 'get', key: 'none' });
    ask(container, 4, { op: 'list', range: { from: null, to: null, limit: 9, reverse: false } });
    expect(await answer(container, 2)).toEqual({ value });
    expect(await answer(container, 3)).toEqual({ value: null });
    expect(await answer(container, 4)).toEqual({ entries: [['n', value]], isEnd: true });
    const owner = { key: instanceKey(pin.identity), epoch: pin.epoch };
    expect(await world.store.state.get(owner, 'n')).toMatchObject({ value: expect.anything() });
  });

  it('D1, S9: an activation that the store no longer knows dies with its container, and its calls are in doubt', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const call = client.call('work');
    await container.call(1);
    const now = await world.pinNow('Basket', 'a');
    const change = pinChange(now, 'placing', { opId: 'taken', why: 'test', atMs: 1, epoch: 'next' });
    await world.store.pins.change(instanceKey(pin.identity), change);
    ask(container, 1, put(1));
    await until(() => container.hasExited);
    expect((await call.error()).code).toBe('OutcomeUnknown');
    const owner = { key: instanceKey(pin.identity), epoch: pin.epoch };
    expect(await world.store.state.get(owner, 'n')).toBe('stale');
    // The pin is its successor's: nobody takes it from there.
    expect((await world.pinNow('Basket', 'a')).opId).toBe('taken');
  });

  it('D4: a store that does not answer is asked again until it does', async () => {
    let failures = 3;
    const { container } = await troubled((operation) => {
      if (operation !== 'list' && failures-- > 0)
        throw new HoldfastError('Unavailable', 'no answer', { outcome: 'unknown' });
    });
    ask(container, 1, put(1));
    for (let i = 0; i < 3; i += 1) {
      await until(() => failures === 2 - i);
      await turns(3);
      expect(container.frames).toEqual([]);
      world.clock.advance(1_000);
    }
    expect(await answer(container, 1)).toEqual({});
  });

  it('tells what is refused for good', async () => {
    const refusal = new HoldfastError('Unavailable', 'no permission', { retryable: false });
    const { container } = await troubled(() => {
      throw refusal;
    });
    ask(container, 1, put(1));
    await expect(answer(container, 1)).rejects.toMatchObject({ code: 'Unavailable', message: 'no permission' });
  });

  it('S7: a boot that is over asks nobody', async () => {
    let asked = 0;
    const { container } = await troubled(() => {
      asked += 1;
    });
    world.clock.jump(11_000);
    ask(container, 1, put(1));
    await until(() => container.hasExited);
    expect(asked).toBe(0);
  });

  it('refuses what has left, and goes on', async () => {
    world = await WorkerWorld.start();
    const { container } = await world.alive('Basket', 'a');
    container.send(FrameKind.State, { ref: 1, slot: 9, body: encodeStateRequest(put(1)) });
    await expect(answer(container, 1)).rejects.toMatchObject({ code: 'InstanceClosed' });
    expect(container.hasExited).toBe(false);
  });

  it('P4: stores what every container of a pool writes, although each counts from 1', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Pool', { options: { maxContainers: 2 } });
    const { pin, client } = await world.alive('Pool', `bind-${hashArgs(encodeArgs([]))}`);
    for (const input of [1, 2]) client.call('work', [input]);
    await world.runs(pin, 2);
    const [first, second] = world.starter.running as [ScriptedContainer, ScriptedContainer];
    await Promise.all([first.call(1), second.call(1)]);
    for (const [container, key] of [
      [first, 'a'],
      [second, 'b'],
    ] as const)
      ask(container, 1, put(1, key));
    for (const container of [first, second]) await answer(container, 1);
    ask(second, 2, { op: 'get', key: 'a' });
    ask(first, 2, { op: 'get', key: 'b' });
    for (const container of [first, second]) expect((await answer(container, 2))['value']).toEqual(value);
  });

  it('C9, D5: a close waits for nothing of it, and leaves nothing of it', async () => {
    world = await WorkerWorld.start();
    const { pin, container } = await world.alive('Basket', 'a');
    ask(container, 1, put(1));
    await answer(container, 1);
    expect((await world.close(pin)).closed).toBe(true);
    const again = await world.pinNow('Basket', 'a');
    expect(again.state).toBe('closed');
  });

  it.each([
    ['no message at all', Buffer.from([0xc1])],
    ['an unknown question', encodeBody({ op: 'drop' })],
    ['a commit without a sequence', encodeBody({ op: 'commit', sequence: 0, changes: [] })],
    [
      'a commit of a key twice',
      encodeBody({
        op: 'commit',
        sequence: 1,
        changes: [
          ['a', null],
          ['a', null],
        ],
      }),
    ],
    ['a key that is too long', encodeBody({ op: 'get', key: 'x'.repeat(513) })],
    ['an empty key, under which the store keeps its own', encodeBody({ op: 'get', key: '' })],
    ['a value that is too long', encodeBody({ op: 'commit', sequence: 1, changes: [['a', new Uint8Array(131_073)]] })],
    ['a value that is no bytes', encodeBody({ op: 'commit', sequence: 1, changes: [['a', 'text']] })],
    ['a bound that is no key', encodeBody({ op: 'list', from: 5, to: null, limit: 1, reverse: false })],
    ['a limit that is none', encodeBody({ op: 'list', from: null, to: null, limit: 0, reverse: false })],
  ])('a container that sends %s dies of it', async (_what, body) => {
    world = await WorkerWorld.start();
    const { container } = await world.alive('Basket', 'a');
    container.send(FrameKind.State, { ref: 1, slot: 1, body });
    await until(() => container.hasExited);
  });

  it('a container that asks for more at once than the protocol has dies of it', async () => {
    let isHeld = true;
    const { container } = await troubled(() => {
      if (isHeld) throw new HoldfastError('Unavailable', 'no answer');
    });
    for (let ref = 1; ref <= 128; ref += 1) ask(container, ref, { op: 'get', key: 'n' });
    await turns(5);
    expect(container.hasExited).toBe(false);
    ask(container, 129, { op: 'get', key: 'n' });
    await until(() => container.hasExited);
    isHeld = false;
  });
});
