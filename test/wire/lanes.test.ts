import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { dialLane } from '../../src/wire/byte-dial.js';
import { SplitBatch } from '../../src/wire/frames/split-message.js';
import { GrpcChannel } from '../../src/wire/grpc/grpc-channel.js';
import { LaneMark } from '../../src/wire/grpc/grpc-messages.js';
import { createGrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { Lanes } from '../../src/wire/grpc/lanes.js';
import { serveWorker } from '../../src/wire/grpc/worker-server.js';
import { ChannelEnd, type ChannelsUnderTest, describeChannel } from '../contracts/channel-contract.js';

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
  const transport = createGrpcTransport({ endpoint: address });
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

/** What a lane needs of a socket; how much waits in it is up to the test. */
class ScriptedSocket extends EventEmitter {
  writableLength = 0;
  isDestroyed = false;
  readonly setNoDelay = (): undefined => undefined;
  readonly setKeepAlive = (): undefined => undefined;
  readonly setTimeout = (): undefined => undefined;
  readonly resume = (): undefined => undefined;

  write(): boolean {
    return this.writableLength === 0;
  }

  destroy(): void {
    this.isDestroyed = true;
  }
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
  it('takes the long bodies, and messages stay in their order', async () => {
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
    const longBytes = [...sent.left, ...sent.right].reduce(
      (sum, { length }) => sum + (length >= 17_000 ? length : 0),
      0,
    );
    expect(lane.bytes - before.lane).toBeGreaterThan(longBytes * 0.99);
    expect(made.lanes).toHaveLength(1);
  });

  it('is not dialed for short messages', async () => {
    await using made = await world();
    const [left, right] = [new ChannelEnd(made.left), new ChannelEnd(made.right)];
    for (let i = 0; i < 100; i += 1) left.channel.send(Buffer.alloc(10_000));
    await right.received(100);
    expect(made.lanes).toHaveLength(0);
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

  it('that ends while nothing is on it is done without', async () => {
    await using made = await world();
    const { left, right, lane } = await opened(made);
    const ended = [once(lane.client, 'close'), once(lane.worker, 'close')];
    lane.client.destroy();
    await Promise.all(ended);
    // Until both have noticed it, what is sent may be lost with it, and then the channel is, too.
    const count = right.messages.length;
    left.channel.send(Buffer.from('short'));
    await right.received(count + 1);
    right.channel.send(Buffer.from('short'));
    await left.received(1);
    left.channel.send(Buffer.alloc(100_000, 'long'));
    expect((await right.received(count + 2))[count + 1]).toHaveLength(100_000);
    expect([left.closings, right.closings]).toEqual([[], []]);
  });

  it('that loses what was announced breaks its channel, once on each side', async () => {
    await using made = await world();
    const { left, right, lane } = await opened(made);
    lane.client.removeAllListeners('data');
    lane.client.on('data', () => undefined);
    const count = right.messages.length;
    left.channel.send(Buffer.from('before'));
    left.channel.send(Buffer.alloc(100_000));
    left.channel.send(Buffer.from('behind'));
    await right.received(count + 1);
    lane.client.destroy();
    lane.worker.destroy();
    expect(await right.closed()).toMatchObject({ code: 'Unavailable' });
    await left.closed();
    expect(right.messages).toHaveLength(count + 1);
    expect([left.closings.length, right.closings.length]).toEqual([1, 1]);
  });

  it('that is silent about what was announced breaks the channel of the client that has dialed it', async () => {
    const server = createServer((socket) => void socket.write(Buffer.of(1)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const lane = dialLane(address, { tls: undefined, keepsProcessAlive: true });
    const stream = Object.assign(new EventEmitter(), { write: () => true, end: () => undefined });
    const channel = new GrpcChannel({ side: 'client', stream: stream as never, dialLane: () => lane }, 'scripted');
    const closings: (Error | null)[] = [];
    channel.open({
      onMessage: () => undefined,
      onDrain: () => undefined,
      onClosed: (error) => void closings.push(error),
    });
    channel.send(Buffer.alloc(20_000));
    await once(lane.socket, 'data');
    stream.emit('data', new LaneMark(Buffer.alloc(10), 100_000));
    expect(lane.socket.timeout).toBe(10_000);
    // Node's word for that time without a byte.
    expect(lane.socket.emit('timeout')).toBe(true);
    await once(lane.socket, 'close');
    expect(closings).toMatchObject([{ code: 'Unavailable' }]);
    server.close();
  });

  it('that another connection says to be, too, is that one, and the first is not kept', () => {
    const lanes = new Lanes();
    const [first, second] = [new ScriptedSocket(), new ScriptedSocket()];
    lanes.arrived('a', first as never);
    lanes.arrived('a', second as never);
    expect([first.isDestroyed, second.isDestroyed]).toEqual([true, false]);
    first.emit('close');
    const taken: unknown[] = [];
    lanes.ask('a', (socket) => taken.push(socket));
    expect(taken).toEqual([second]);
  });

  it.each(['drains', 'is lost'])('that was full and %s lets its channel go on, whatever was sent meanwhile', (end) => {
    const stream = Object.assign(new EventEmitter(), {
      write: () => true,
      end: () => undefined,
      writableNeedDrain: false,
    });
    const socket = new ScriptedSocket();
    const dialLane = () => ({ id: 'a', socket: socket as unknown as Socket });
    const call = { side: 'client', stream: stream as never, dialLane } as const;
    const channel = new GrpcChannel(call, 'scripted');
    let drains = 0;
    channel.open({
      onMessage: () => undefined,
      onDrain: () => {
        drains += 1;
      },
      onClosed: () => undefined,
    });
    channel.send(Buffer.alloc(20_000));
    socket.emit('data', Buffer.of(1));
    socket.writableLength = 2_000_000;
    expect(channel.send(Buffer.alloc(20_000))).toBe(false);
    // A part has gone, so that there is room again, but nobody was told.
    socket.writableLength = 500_000;
    expect(channel.send(Buffer.from('short'))).toBe(false);
    expect(drains).toBe(0);
    if (end === 'drains') socket.writableLength = 0;
    socket.emit(end === 'drains' ? 'drain' : 'close');
    expect(drains).toBe(1);
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
