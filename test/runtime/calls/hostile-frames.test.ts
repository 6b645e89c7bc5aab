import { afterEach, describe, expect, it } from 'vitest';
import { encodeArgs, encodeValue } from '../../../src/wire/codec/codec.js';
import { encodeBody } from '../../../src/wire/frames/frame-bodies.js';
import { FrameKind, initialYieldCreditBytes, inlinePayloadBytes } from '../../../src/wire/frames/frames.js';
import type { Answers, ScriptedClient } from '../scripted-client.js';
import { type RunCall, type ScriptedContainer, u32 } from '../scripted-container.js';
import { turns, until } from '../until.js';
import { WorkerWorld } from '../worker-world.js';

let world: WorkerWorld;
afterEach(() => world[Symbol.asyncDispose]());

const large = { bytes: new Uint8Array(200_000) };

interface Stage {
  readonly client: ScriptedClient;
  readonly container: ScriptedContainer;
  /** A call of the client that runs. */
  readonly call: Answers;
  readonly run: RunCall;
}

describe('a client that breaks the protocol', () => {
  const deeds: readonly (readonly [string, (stage: Stage) => void])[] = [
    ['calls a slot that it has not bound', ({ client }) => client.call('work', [], { slot: 4_294_967_295 })],
    [
      'gives a call the number of another',
      ({ client, call }) => {
        client.link.writer.call({
          ref: call.ref,
          slot: 1,
          method: 'work',
          flags: 0,
          remainingMs: 0,
          meta: null,
          payload: encodeArgs([]),
        });
        client.link.flushNow();
      },
    ],
    ['sends chunks that nobody asked for', ({ client, call }) => client.chunk(call, new Uint8Array(1_000))],
    [
      'sends the rest of its arguments before it is asked for it',
      ({ client }) => {
        const early = client.call('work', [], { payload: encodeArgs([large]) });
        client.chunk(early, Buffer.alloc(1_000));
        client.chunk(early, Buffer.alloc(1_000));
      },
    ],
    ['sends credit without a number', ({ client, call }) => client.send(FrameKind.Credit, { ref: call.ref })],
    ['cancels without a reason', ({ client, call }) => client.send(FrameKind.Cancel, { ref: call.ref })],
    ['sends what only a worker may send', ({ client }) => client.send(FrameKind.Activate, { slot: 1 })],
    ['sends a bind that is no MessagePack', ({ client }) => client.send(FrameKind.Bind, { slot: 2, body: u32(1) })],
    ['sends a call that is cut off', ({ client }) => client.send(FrameKind.Call, { ref: 77, slot: 1, body: u32(1) })],
    [
      'sends more of the arguments at once than is asked for',
      ({ client }) => {
        const name = Buffer.from('work');
        const payload = Buffer.alloc(inlinePayloadBytes + 1);
        const body = Buffer.alloc(12);
        body.writeUInt32LE(payload.length, 5);
        body[11] = name.length;
        client.send(FrameKind.Call, { ref: 78, slot: 1, body: Buffer.concat([body, name, payload]) });
      },
    ],
  ];

  it.each(deeds)('and %s loses its session, and nobody else loses anything', async (_what, deed) => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { concurrentRequests: 3 } });
    const { pin, client, container } = await world.alive('Basket', 'a');
    const other = world.client();
    other.bind(1, world.bound(pin));
    const theirs = other.call('work');
    await container.call(1);
    const call = client.call('work');
    deed({ client, container, call, run: await container.call(2) });
    await until(() => client.lost !== null);
    container.calls[0]?.result('unharmed');
    expect(await theirs.value()).toBe('unharmed');
    expect(container.hasExited).toBe(false);
    await until(() => container.calls[1]?.cancelled !== null);
  });

  it('and sends more arguments than it announced, on credit, cannot end the container', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    const payload = encodeArgs([large]);
    const call = client.call('work', [], { payload });
    const run = await container.call(1);
    run.ask(1_000_000);
    await until(() => call.credit > 0);
    client.chunk(call, Buffer.alloc(500_000));
    await until(() => client.lost !== null);
    expect(run.payload.length).toBe(inlinePayloadBytes);
    expect(container.hasExited).toBe(false);
  });

  it('and credits, cancels or continues calls that are not there, is not heard', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    for (const ref of [0, 99, Number.MAX_SAFE_INTEGER]) {
      client.send(FrameKind.Credit, { ref, body: u32(4_294_967_295) });
      client.send(FrameKind.Cancel, { ref, body: Uint8Array.of(0) });
      client.send(FrameKind.Chunk, { ref, body: Buffer.alloc(10) });
    }
    const call = client.call('work');
    (await container.call(1)).result('fine');
    expect(await call.value()).toBe('fine');
  });

  it('and binds slots without end and without a right to one, loses its session', async () => {
    world = await WorkerWorld.start();
    const { pin, client } = await world.alive('Basket', 'a');
    const stranger = world.client();
    const bind = encodeBody({ key: pin.key, generation: 1, epoch: 1, capability: 'x' });
    for (let slot = 0; slot < 70_000; slot += 1) stranger.link.writer.frame(FrameKind.Bind, 0, slot, bind);
    stranger.link.flushNow();
    // Its own slots it may bind as often as it likes.
    for (let n = 0; n < 70_000; n += 1) client.link.writer.frame(FrameKind.Bind, 0, 2, bind);
    client.link.flushNow();
    await until(() => stranger.lost !== null);
    expect((await client.call('work', [], { slot: 2 }).error()).code).toBe('PermissionDenied');
    expect(client.lost).toBe(null);
  });

  it('and shows no good capability for half a minute, loses its session, and makes room for others before', async () => {
    world = await WorkerWorld.start();
    const { pin, client, container } = await world.alive('Basket', 'a');
    const stranger = world.client();
    stranger.bind(1, { ...world.bound(pin), capability: 'nonsense' });
    expect((await stranger.call('work').error()).code).toBe('PermissionDenied');
    for (let second = 0; second < 30; second += 1) {
      expect(stranger.lost).toBeNull();
      await world.pass(1_000);
    }
    await until(() => stranger.lost !== null);
    const call = client.call('work');
    (await container.call(1)).result('fine');
    expect(await call.value()).toBe('fine');
  });

  it('and binds with a capability of another instance, epoch or account, for less or from before, is refused', async () => {
    world = await WorkerWorld.start();
    const a = await world.alive('Basket', 'a');
    const b = await world.alive('Basket', 'b');
    const { capability } = world.bound(b.pin);
    a.client.bind(2, { ...world.bound(a.pin), capability });
    a.client.bind(3, { ...world.bound(a.pin), epoch: a.pin.epoch + 1 });
    a.client.bind(4, { ...world.bound(a.pin), capability: 'nonsense' });
    a.client.bind(5, world.bound(a.pin, { of: { account: 'other' } }));
    a.client.bind(6, world.bound(a.pin, { of: { role: 'read' } }));
    a.client.bind(7, world.bound(a.pin, { of: { expiresAtMs: world.clock.now() } }));
    for (const slot of [2, 3, 4, 5, 6, 7])
      expect((await a.client.call('work', [], { slot }).error()).code).toBe('PermissionDenied');
    expect(a.container.calls).toHaveLength(0);
  });
});

describe('a container that breaks the protocol', () => {
  const deeds: readonly (readonly [string, (stage: Stage) => void])[] = [
    ['sends a result without a length', ({ run }) => run.container.send(FrameKind.Result, { ref: run.ref })],
    [
      'sends chunks that nobody asked for',
      ({ run }) => {
        run.part(10_000_000, new Uint8Array(10));
        for (let n = 0; n < 4; n += 1) run.chunk(new Uint8Array(50_000));
      },
    ],
    ['sends a chunk that is too long', ({ run }) => run.chunk(new Uint8Array(inlinePayloadBytes + 5))],
    [
      'sends an error that is too long',
      ({ run }) => run.container.send(FrameKind.Error, { ref: run.ref, body: Buffer.alloc(100_000) }),
    ],
    [
      'sends logs that are no MessagePack',
      ({ container }) => container.send(FrameKind.Log, { body: Buffer.from([0xc1]) }),
    ],
    ['sends what only a worker may send', ({ container }) => container.send(FrameKind.Bind, {})],
    [
      'sends frames that are cut off',
      ({ container }) => {
        container.stream.writer.append(Buffer.from([1, 2, 3]));
        container.stream.flushNow();
      },
    ],
    ['sends more than it said', ({ run }) => run.part(3, Buffer.alloc(10))],
  ];

  it.each(deeds)('and %s is ended, and only it', async (_what, deed) => {
    world = await WorkerWorld.start();
    const a = await world.alive('Basket', 'a');
    const b = await world.alive('Basket', 'b');
    const call = a.client.call('work');
    const theirs = b.client.call('work');
    const run = await a.container.call(1);
    const other = await b.container.call(1);
    deed({ client: a.client, container: a.container, call, run });
    await until(() => a.container.hasExited);
    await call.answered();
    other.result('unharmed');
    expect(await theirs.value()).toBe('unharmed');
  });

  it('and reports an exit that is no MessagePack is ended, and the instance closed', async () => {
    world = await WorkerWorld.start();
    const { pin, container } = await world.alive('Basket', 'a');
    container.onDeactivate = (slot) => container.send(FrameKind.Deactivated, { slot, body: Buffer.of(0xc1) });
    expect((await world.close(pin)).closed).toBe(true);
    expect(container.hasExited).toBe(true);
    expect(await world.stateOf(pin)).toBe('closed');
  });

  it('and answers what nobody asked, harms nobody', async () => {
    world = await WorkerWorld.start();
    const { client, container } = await world.alive('Basket', 'a');
    for (const ref of [0, 99, Number.MAX_SAFE_INTEGER]) {
      container.send(FrameKind.End, { ref });
      container.send(FrameKind.Error, { ref, body: encodeValue(1) });
      container.send(FrameKind.Chunk, { ref, body: Buffer.alloc(10) });
    }
    for (const slot of [0, 99, 4_294_967_295]) {
      container.send(FrameKind.Activated, { slot });
      container.send(FrameKind.ActivationFailed, { slot, body: encodeValue(1) });
      container.send(FrameKind.Deactivated, { slot, body: Buffer.of(0x80) });
    }
    container.send(FrameKind.Loaded, {});
    const call = client.call('work');
    (await container.call(1)).result('fine');
    expect(await call.value()).toBe('fine');
  });

  it('C8: may overdraw the credit of a generator by one value, and no more', async () => {
    world = await WorkerWorld.start();
    await world.deploy('Basket', { options: { concurrentRequests: 2 } });
    const { client, container } = await world.alive('Basket', 'a');
    client.call('count', [], { generator: true });
    const run = await container.call(1);
    const value = Buffer.alloc(inlinePayloadBytes);
    const yields = (): void => {
      container.stream.writer.payload(FrameKind.Yield, run.ref, 0, value.length, value);
      container.stream.flushNow();
    };
    for (let sent = 0; sent < initialYieldCreditBytes; sent += inlinePayloadBytes + 64) yields();
    await turns(10);
    expect(container.hasExited).toBe(false);
    for (let n = 0; n < 2; n += 1) yields();
    await until(() => container.hasExited);
  });
});
