import { afterEach, describe, expect, it } from 'vitest';
import type { Channel, ChannelHandlers, Transport } from '../../src/common/ports/channel.js';
import type { ObjectStore } from '../../src/common/ports/object-store.js';
import { decodeError } from '../../src/wire/errors.js';
import { encodeBody } from '../../src/wire/frames/frame-bodies.js';
import { FrameKind } from '../../src/wire/frames/frames.js';
import { ControlReplyBatch, PinView } from '../../src/wire/gen/holdfast/v1/router.js';
import type { ScriptedContainer } from './scripted-container.js';
import { turns, until } from './until.js';
import { WorkerWorld } from './worker-world.js';

/** The other side of what a worker dials: it takes everything, and says that it is slow where it is told to. */
class ScriptedPeer implements Channel {
  readonly address: string;
  readonly received: number[] = [];
  isSlow = false;
  closedWith: Error | null | undefined;
  handlers: ChannelHandlers | null = null;

  constructor(address: string) {
    this.address = address;
  }

  open(handlers: ChannelHandlers): void {
    this.handlers = handlers;
  }

  send(message: Uint8Array): boolean {
    this.received.push(message.length);
    return !this.isSlow;
  }

  close(error?: Error): void {
    if (this.closedWith !== undefined) return;
    this.closedWith = error ?? null;
    setImmediate(() => this.handlers?.onClosed(error ?? null));
  }
}

class ScriptedNetwork implements Transport {
  readonly peers: ScriptedPeer[] = [];
  readonly asked: string[] = [];
  /** As long as each of them may take, in ms. */
  readonly times: number[] = [];
  answer: (signal: AbortSignal | undefined) => Promise<Uint8Array> = async () => Buffer.from('answer');

  openRouter(): Channel {
    return this.openWorker('');
  }

  openWorker(address: string): Channel {
    const peer = new ScriptedPeer(address);
    this.peers.push(peer);
    return peer;
  }

  unary(
    method: string,
    _request: Uint8Array,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    this.asked.push(method);
    this.times.push(options.timeoutMs);
    return this.answer(options.signal);
  }

  async close(): Promise<void> {
    // Nothing is open.
  }
}

let world: WorkerWorld;
let network: ScriptedNetwork;
afterEach(() => world[Symbol.asyncDispose]());

async function alive(): Promise<ScriptedContainer> {
  network = new ScriptedNetwork();
  world = await WorkerWorld.start({ transport: () => network });
  return (await world.alive('Basket', 'a')).container;
}

function opened(container: ScriptedContainer, ref: number, address = ''): void {
  container.send(FrameKind.TunnelOpen, { ref, body: Buffer.from(address) });
}

function unary(container: ScriptedContainer, ref: number, what: string | object): void {
  const asked = typeof what === 'string' ? { method: what } : what;
  const body = { request: Buffer.alloc(1), timeoutMs: 1_000, ...asked };
  container.send(FrameKind.Unary, { ref, body: encodeBody(body) });
}

/** What it was answered with; a code where it was refused. */
async function answered(container: ScriptedContainer, ref: number): Promise<string> {
  const find = () => sentTo(container, FrameKind.UnaryReply).find((reply) => reply.ref === ref);
  await until(() => find() !== undefined);
  const { body = Buffer.alloc(0) } = find() ?? {};
  return body[0] === 1 ? body.toString('utf8', 1) : decodeError(body.subarray(1)).code;
}

/** What a router answers where an instance is there. */
function isAt(address: string): Uint8Array {
  const value = { ...PinView.decode(new Uint8Array(0)), address };
  return ControlReplyBatch.encode({ replies: [{ requestId: 1, result: { $case: 'pin', value } }] }).finish();
}

const sentTo = (container: ScriptedContainer, kind: FrameKind) =>
  container.frames.filter((frame) => frame.kind === kind);

describe('the tunnels of a container', () => {
  it('C12: carry messages both ways, to the router and to workers, until either side closes', async () => {
    const container = await alive();
    opened(container, 1);
    await until(() => network.peers.length === 1);
    network.peers[0]?.handlers?.onMessage(isAt('w2.test:1'));
    opened(container, 2, 'w2.test:1');
    await until(() => network.peers.length === 2);
    expect(network.peers.map((peer) => peer.address)).toEqual(['', 'w2.test:1']);
    container.send(FrameKind.TunnelData, { ref: 2, body: Buffer.alloc(10) });
    await until(() => network.peers[1]?.received.length === 1);
    network.peers[1]?.handlers?.onMessage(Buffer.from('back'));
    await until(() => sentTo(container, FrameKind.TunnelData).length === 2);
    expect(sentTo(container, FrameKind.TunnelData)[1]).toMatchObject({ ref: 2, body: Buffer.from('back') });
    container.send(FrameKind.TunnelClose, { ref: 2 });
    await until(() => sentTo(container, FrameKind.TunnelClose).length === 1);
    expect(network.peers.map((peer) => peer.closedWith)).toEqual([undefined, null]);
  });

  it('C12: lead to workers of which a router has told their container, and to nobody else', async () => {
    const container = await alive();
    opened(container, 1);
    await until(() => network.peers.length === 1);
    for (const said of [Buffer.of(255), isAt('w2.test:1')]) network.peers[0]?.handlers?.onMessage(said);
    const elsewhere = ['169.254.169.254:80', 'redis.test:6379', 'w2.test:2', ' w2.test:1'];
    for (const [at, address] of elsewhere.entries()) opened(container, 2 + at, address);
    await until(() => sentTo(container, FrameKind.TunnelClose).length === elsewhere.length);
    for (const { body } of sentTo(container, FrameKind.TunnelClose))
      expect(decodeError(body).code).toBe('PermissionDenied');
    opened(container, 9, 'w2.test:1');
    await until(() => network.peers.length === 2);
    // What a worker says is no word of a router.
    network.peers[1]?.handlers?.onMessage(isAt('evil.test:1'));
    opened(container, 10, 'evil.test:1');
    await until(() => sentTo(container, FrameKind.TunnelClose).length === elsewhere.length + 1);
    expect(network.peers.map((peer) => peer.address)).toEqual(['', 'w2.test:1']);
  });

  it('are closed with their container, also one that it asks for while it dies', async () => {
    const container = await alive();
    opened(container, 1);
    await until(() => network.peers.length === 1);
    opened(container, 2);
    container.die();
    await until(() => network.peers[0]?.closedWith !== undefined);
    await turns(5);
    expect(network.peers.filter((peer) => peer.closedWith === undefined)).toEqual([]);
  });

  it('are closed where the other side does not read, before they take the memory of the worker', async () => {
    const container = await alive();
    opened(container, 1);
    opened(container, 2);
    await until(() => network.peers.length === 2);
    const [slow] = network.peers;
    if (slow !== undefined) slow.isSlow = true;
    for (let n = 0; n < 70 && slow?.closedWith === undefined; n += 1) {
      container.send(FrameKind.TunnelData, { ref: 1, body: Buffer.alloc(1_048_576) });
      await turns(2);
    }
    await until(() => sentTo(container, FrameKind.TunnelClose).length === 1);
    expect(slow?.closedWith).toMatchObject({ code: 'Unavailable' });
    expect(network.peers[1]?.closedWith).toBeUndefined();
    expect(container.hasExited).toBe(false);
  });

  it('go on where the other side was slow for a while', async () => {
    const container = await alive();
    opened(container, 1);
    await until(() => network.peers.length === 1);
    const [peer] = network.peers as [ScriptedPeer];
    for (let round = 0; round < 3; round += 1) {
      peer.isSlow = true;
      for (let n = 0; n < 30; n += 1) container.send(FrameKind.TunnelData, { ref: 1, body: Buffer.alloc(1_048_576) });
      await until(() => peer.received.length === (round + 1) * 30);
      peer.isSlow = false;
      peer.handlers?.onDrain();
    }
    expect(peer.closedWith).toBeUndefined();
  });

  it('C12: ask the router only for what user code may, so many at once, and never after their container', async () => {
    const container = await alive();
    unary(container, 1, 'Lookup');
    unary(container, 2, 'CreateToken');
    await until(() => sentTo(container, FrameKind.UnaryReply).length === 2);
    const replies = new Map(sentTo(container, FrameKind.UnaryReply).map(({ ref, body }) => [ref, body]));
    expect(replies.get(1)?.toString('utf8', 1)).toBe('answer');
    expect(decodeError(replies.get(2)?.subarray(1) ?? Buffer.alloc(0)).code).toBe('PermissionDenied');
    const signals: (AbortSignal | undefined)[] = [];
    network.answer = (signal) => {
      signals.push(signal);
      return new Promise(() => undefined);
    };
    for (let ref = 3; ref < 260; ref += 1) unary(container, ref, 'Inspect');
    await until(() => sentTo(container, FrameKind.UnaryReply).length === 3);
    const refused = sentTo(container, FrameKind.UnaryReply).at(-1);
    expect(decodeError(refused?.body.subarray(1) ?? Buffer.alloc(0)).code).toBe('Unavailable');
    container.die();
    await until(() => signals[0]?.aborted === true);
    expect(network.asked).not.toContain('CreateToken');
  });

  it('C12: give a request the time that it says, and two minutes at most', async () => {
    const container = await alive();
    for (const [i, timeoutMs] of [1, 120_000, 600_000].entries())
      unary(container, i + 1, { method: 'Inspect', timeoutMs });
    await until(() => sentTo(container, FrameKind.UnaryReply).length === 3);
    expect(network.times).toEqual([1, 120_000, 120_000]);
  });

  it('move objects in the time that is said, also where the object store never answers', async () => {
    network = new ScriptedNetwork();
    let asked = 0;
    const objectsOf = (objects: ObjectStore): ObjectStore => ({
      ...objects,
      getRange: () => {
        asked += 1;
        return new Promise(() => undefined);
      },
    });
    world = await WorkerWorld.start({ transport: () => network, objectsOf });
    const { container } = await world.alive('Basket', 'a');
    const request = encodeBody({ hash: 'a'.repeat(64), offset: 0, length: 9 });
    unary(container, 1, { method: 'GetObject', request, timeoutMs: 900 });
    unary(container, 2, { method: 'GetObject', request, timeoutMs: 600_000 });
    await until(() => asked === 2);
    world.clock.advance(899);
    await turns(5);
    expect(sentTo(container, FrameKind.UnaryReply)).toEqual([]);
    world.clock.advance(1);
    expect(await answered(container, 1)).toBe('DeadlineExceeded');
    await world.pass(120_000);
    expect(await answered(container, 2)).toBe('DeadlineExceeded');
    expect(network.asked).toEqual([]);
  });

  it('are refused where they cannot be dialed, and above their number', async () => {
    world = await WorkerWorld.start();
    const { container } = await world.alive('Basket', 'a');
    opened(container, 1);
    await until(() => sentTo(container, FrameKind.TunnelClose).length === 1);
    expect(decodeError(sentTo(container, FrameKind.TunnelClose)[0]?.body ?? Buffer.alloc(0)).message).toMatch(
      /no router/,
    );
  });
});
