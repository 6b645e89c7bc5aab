import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { SplitBatch } from '../../src/wire/frames/split-message.js';
import { GrpcChannel } from '../../src/wire/grpc/grpc-channel.js';
import { OnLane } from '../../src/wire/grpc/grpc-messages.js';
import { createGrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { Lanes } from '../../src/wire/grpc/lanes.js';
import { serveWorker } from '../../src/wire/grpc/worker-server.js';
import { ChannelEnd, type ChannelsUnderTest, describeChannel } from '../contracts/channel-contract.js';
import { ManualClock } from '../manual-clock.js';

/** One lane as it passes the proxy. */
interface PassingLane {
  readonly client: Socket;
  readonly worker: Socket;
  bytes: number;
}

/** Between client and worker; what it does with lanes is up to the test. */
interface World extends AsyncDisposable, ChannelsUnderTest {
  readonly lanes: PassingLane[];
  /** Resolves when both sides may send on the lane, and nothing is under way. */
  laneOpened(): Promise<PassingLane>;
}

async function world(options: { readonly withoutLanes?: boolean } = {}): Promise<World> {
  const accepted: ((channel: Channel) => void)[] = [];
  const server = await serveWorker('127.0.0.1:0', {
    accept: (channel) => accepted.shift()?.(channel),
    serveBytes: async () => undefined,
    clock: systemClock,
  });
  const lanes: PassingLane[] = [];
  const sockets: Socket[] = [];
  const proxy = createServer((client) => {
    client.once('data', (first: Buffer) => {
      const isLane = first.toString('latin1', 0, 8) === 'hflanes1';
      if (isLane && options.withoutLanes) return void client.destroy();
      const worker = connect(Number(server.address.split(':')[1]), '127.0.0.1');
      sockets.push(client, worker);
      const lane = { client, worker, bytes: 0 };
      if (isLane) lanes.push(lane);
      worker.write(first);
      for (const [from, to] of [
        [client, worker],
        [worker, client],
      ] as const) {
        from.on('data', (chunk: Buffer) => {
          lane.bytes += chunk.length;
          to.write(chunk);
        });
        from.on('error', () => to.destroy());
        from.on('close', () => to.end());
      }
    });
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const address = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const transport = createGrpcTransport({ endpoint: address, clock: systemClock });
  const right = new Promise<Channel>((resolve) => accepted.push(resolve));
  const left = transport.openWorker(address);
  return {
    left,
    right: await right,
    lanes,
    cut: () => void server.close(),
    laneOpened: async () => {
      // The worker's byte that says that it has taken the lane.
      while (lanes[0] === undefined || lanes[0].bytes === 0) await new Promise((resolve) => setImmediate(resolve));
      return lanes[0];
    },
    [Symbol.asyncDispose]: async () => {
      await transport.close();
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await server.close();
    },
  };
}

/** What a lane needs of a socket; how much waits in it, and has come, is up to the test. */
class ScriptedSocket extends EventEmitter {
  writableLength = 0;
  bytesRead = 0;
  isDestroyed = false;
  readonly written: Uint8Array[] = [];
  readonly setNoDelay = (): undefined => undefined;
  readonly setKeepAlive = (): undefined => undefined;
  readonly setTimeout = (): undefined => undefined;
  readonly resume = (): undefined => undefined;
  readonly pause = (): undefined => undefined;
  readonly cork = (): undefined => undefined;
  readonly uncork = (): undefined => undefined;
  readonly end = (): undefined => undefined;

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    return this.writableLength === 0;
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}

/** A client's channel over a stream and a lane that do what the test says. */
function scripted() {
  const clock = new ManualClock();
  const written: unknown[] = [];
  const stream = Object.assign(new EventEmitter(), {
    write: (message: unknown) => written.push(message) > 0,
    end: () => undefined,
    writableNeedDrain: false,
  });
  const socket = new ScriptedSocket();
  const lane = { clock, dial: () => ({ id: 'a', socket: socket as unknown as Socket }) };
  const channel = new GrpcChannel({ side: 'client', stream: stream as never, lane }, 'scripted');
  const messages: Uint8Array[] = [];
  const closings: (Error | null)[] = [];
  let drains = 0;
  channel.open({
    onMessage: (message) => void messages.push(message),
    onDrain: () => {
      drains += 1;
    },
    onClosed: (error) => void closings.push(error),
  });
  return { channel, clock, stream, socket, written, messages, closings, drains: () => drains };
}

/** Both ends, when a first long message has brought them a lane and another one has come on it. */
async function opened(made: World): Promise<{ left: ChannelEnd; right: ChannelEnd; lane: PassingLane }> {
  const left = new ChannelEnd(made.left);
  const right = new ChannelEnd(made.right);
  left.channel.send(Buffer.alloc(20_000));
  const lane = await made.laneOpened();
  while (lane.bytes < 20_000) {
    left.channel.send(Buffer.alloc(20_000));
    await right.received(right.messages.length + 1);
  }
  return { left, right, lane };
}

describeChannel('gRPC beside a lane', async () => {
  const made = await world();
  return {
    left: made.left,
    right: made.right,
    cut: made.cut,
    [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
  };
});

describe('a lane', () => {
  it('takes all messages, and they stay in their order', async () => {
    const size = fc.oneof(fc.nat(100), fc.integer({ min: 16_000, max: 17_000 }), fc.nat(300_000));
    const message = fc.record({ size, isSplit: fc.boolean(), isBack: fc.boolean() });
    await using made = await world();
    const { left, right, lane } = await opened(made);
    const before = { left: left.messages.length, right: right.messages.length, lane: lane.bytes };
    const sent: { left: Buffer[]; right: Buffer[] } = { left: [], right: [] };
    for (const [i, { size, isSplit, isBack }] of fc.sample(message, 300).entries()) {
      const bytes = Buffer.alloc(size, `${i}`);
      const { channel } = isBack ? right : left;
      channel.send(isSplit ? new SplitBatch(bytes.subarray(0, 9), bytes.subarray(9)) : bytes);
      sent[isBack ? 'left' : 'right'].push(bytes);
    }
    for (const [name, end] of Object.entries({ left, right }) as ['left' | 'right', ChannelEnd][]) {
      const received = (await end.received(before[name] + sent[name].length)).slice(before[name]);
      expect(received.every((bytes, i) => sent[name][i]?.equals(bytes))).toBe(true);
    }
    const bytes = [...sent.left, ...sent.right].reduce((sum, { length }) => sum + length, 0);
    expect(lane.bytes - before.lane).toBeGreaterThan(bytes);
    expect(made.lanes).toHaveLength(1);
  });

  it('is dialed for many messages, and not for a few short ones', async () => {
    await using made = await world();
    const [left, right] = [new ChannelEnd(made.left), new ChannelEnd(made.right)];
    for (let i = 0; i < 32; i += 1) left.channel.send(Buffer.alloc(10_000));
    await right.received(32);
    expect(made.lanes).toHaveLength(0);
    left.channel.send(Buffer.from('one more'));
    await made.laneOpened();
    await right.received(33);
  });

  it('is read only behind what was sent on the stream', async () => {
    await using made = await world();
    const [left, right] = [new ChannelEnd(made.left), new ChannelEnd(made.right)];
    const count = 400;
    for (let i = 0; i < count; i += 1) {
      left.channel.send(Buffer.from(`${i}`));
      right.channel.send(Buffer.from(`${i}`));
      if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const numbers = Array.from({ length: count }, (_, i) => `${i}`);
    for (const end of [left, right]) expect((await end.received(count)).map(String)).toEqual(numbers);
    expect(made.lanes).toHaveLength(1);
  });

  it('that cannot be had is done without', async () => {
    await using made = await world({ withoutLanes: true });
    const [left, right] = [new ChannelEnd(made.left), new ChannelEnd(made.right)];
    for (let i = 1; i <= 20; i += 1) {
      left.channel.send(Buffer.alloc(100_000, `${i}`));
      right.channel.send(Buffer.alloc(100_000, `${i}`));
      await Promise.all([left.received(i), right.received(i)]);
    }
    expect([left.closings, right.closings]).toEqual([[], []]);
  });

  it('that is lost breaks its channel, once on each side', async () => {
    await using made = await world();
    const { left, right, lane } = await opened(made);
    lane.client.removeAllListeners('data');
    lane.client.on('data', () => undefined);
    const count = right.messages.length;
    left.channel.send(Buffer.from('lost'));
    lane.client.destroy();
    lane.worker.destroy();
    expect(await right.closed()).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    expect(await left.closed()).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    expect(right.messages).toHaveLength(count);
    expect([left.closings.length, right.closings.length]).toEqual([1, 1]);
  });

  it('is open by the byte that says so and by no other, and messages stay on the stream', async () => {
    const { channel, socket, written } = scripted();
    channel.send(Buffer.alloc(20_000));
    // The settings of an HTTP/2 server.
    socket.emit('data', Buffer.from([0, 0, 18, 4, 0, 0, 0, 0, 0]));
    expect(socket.isDestroyed).toBe(true);
    channel.send(Buffer.from('next'));
    expect(written.at(-1)).toEqual(Buffer.from('next'));
    expect(written.some((message) => message instanceof OnLane)).toBe(false);
  });

  it('is told of on the stream, behind the last message there', () => {
    const { channel, socket, written } = scripted();
    channel.send(Buffer.alloc(20_000));
    channel.send(Buffer.from('before'));
    socket.emit('data', Buffer.of(1));
    channel.send(Buffer.from('on it'));
    expect(written.slice(-2)).toEqual([Buffer.from('before'), new OnLane(0)]);
    expect(Buffer.concat(socket.written).toString()).toContain('on it');
  });

  it('tells on the stream how much was sent, and is given up where that does not come', () => {
    const { channel, clock, socket, stream, written, closings } = scripted();
    channel.send(Buffer.alloc(20_000));
    socket.emit('data', Buffer.of(1));
    channel.send(Buffer.from('one'));
    channel.send(Buffer.from('two'));
    clock.advance(2_000);
    expect(written.at(-1)).toEqual(new OnLane(2));
    stream.emit('data', new OnLane(0));
    stream.emit('data', new OnLane(1));
    clock.advance(9_999);
    expect(socket.isDestroyed).toBe(false);
    // Something has come: there is time again.
    socket.bytesRead = 3;
    clock.advance(1);
    clock.advance(9_999);
    expect(socket.isDestroyed).toBe(false);
    clock.advance(1);
    expect(socket.isDestroyed).toBe(true);
    socket.emit('close');
    expect(closings).toMatchObject([{ code: 'Unavailable' }]);
  });

  it('that has brought what was told is kept, however long nothing more comes', () => {
    const { channel, clock, socket, stream, messages } = scripted();
    channel.send(Buffer.alloc(20_000));
    socket.emit('data', Buffer.of(1));
    stream.emit('data', new OnLane(0));
    stream.emit('data', new OnLane(1));
    socket.emit('data', Buffer.from([2, 0, 0, 0, 104, 105]));
    clock.advance(3_600_000);
    expect(messages.map(String)).toEqual(['hi']);
    expect(socket.isDestroyed).toBe(false);
  });

  it('that is silent behind the end of its stream ends with it', () => {
    const { channel, clock, socket, stream, closings } = scripted();
    channel.send(Buffer.alloc(20_000));
    socket.emit('data', Buffer.of(1));
    stream.emit('data', new OnLane(0));
    stream.emit('end');
    expect(closings).toEqual([]);
    clock.advance(10_000);
    expect(socket.isDestroyed).toBe(true);
    socket.emit('close');
    expect(closings).toHaveLength(1);
  });

  it('that was never had is no lane: who says that messages are on it breaks the channel', () => {
    const { stream, closings } = scripted();
    stream.emit('data', new OnLane(0));
    expect(closings).toMatchObject([{ code: 'Unavailable' }]);
  });

  it('that another connection says to be, too, is that one, and the first is not kept', () => {
    const lanes = new Lanes(systemClock);
    const [first, second] = [new ScriptedSocket(), new ScriptedSocket()];
    lanes.arrived('a', first as never);
    lanes.arrived('a', second as never);
    expect([first.isDestroyed, second.isDestroyed]).toEqual([true, false]);
    first.emit('close');
    const taken: unknown[] = [];
    lanes.ask('a', (socket) => taken.push(socket));
    expect(taken).toEqual([second]);
  });

  it('that was full and drains lets its channel go on, whatever was sent meanwhile', () => {
    const { channel, socket, drains } = scripted();
    channel.send(Buffer.alloc(20_000));
    socket.emit('data', Buffer.of(1));
    socket.writableLength = 2_000_000;
    expect(channel.send(Buffer.alloc(20_000))).toBe(false);
    // A part has gone, so that there is room again, but nobody was told.
    socket.writableLength = 500_000;
    expect(channel.send(Buffer.from('short'))).toBe(false);
    expect(drains()).toBe(0);
    socket.writableLength = 0;
    socket.emit('drain');
    expect(drains()).toBe(1);
    expect(channel.send(Buffer.from('short'))).toBe(true);
  });

  it('brings what was sent before the channel is closed in order', async () => {
    for (const closing of ['left', 'right'] as const) {
      await using made = await world();
      const ends = await opened(made);
      const other = ends[closing === 'left' ? 'right' : 'left'];
      const count = other.messages.length;
      for (let i = 0; i < 40; i += 1) ends[closing].channel.send(Buffer.alloc(60_000, `${i}`));
      ends[closing].channel.close();
      expect(await ends[closing].closed()).toBeNull();
      expect(await other.closed()).toBeNull();
      expect(other.messages).toHaveLength(count + 40);
      expect(other.messages.every(({ length }) => length === 60_000 || length === 20_000)).toBe(true);
    }
  });
});
