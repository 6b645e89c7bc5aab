import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { Client, credentials } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { SplitBatch } from '../../src/wire/frames/split-message.js';
import { ControlBatch } from '../../src/wire/gen/holdfast/v1/router.js';
import { LinkBatch } from '../../src/wire/gen/holdfast/v1/worker.js';
import { CloseNotice, encodedFormat, LaneOffer, linkBatchFormat, OnLane } from '../../src/wire/grpc/grpc-messages.js';
import { clientOptions } from '../../src/wire/grpc/grpc-options.js';
import { workerService } from '../../src/wire/grpc/grpc-server.js';
import { createGrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { createChannelPair } from '../../src/wire/link/channel-pair.js';
import { MessageReader } from '../../src/wire/link/message-reader.js';
import { SocketChannel } from '../../src/wire/link/socket-channel.js';
import { ChannelEnd, type ChannelsUnderTest, describeChannel } from '../contracts/channel-contract.js';
import { grpcServer, streamOf } from './grpc-service.js';

describeChannel('a pair', async () => {
  const { left, right, cut } = createChannelPair();
  return { left, right, cut, [Symbol.asyncDispose]: async () => cut() };
});

interface Sockets extends AsyncDisposable {
  readonly client: Socket;
  readonly server: Socket;
}

/** @param reader what the client's end reads with */
async function unixSockets(reader?: MessageReader): Promise<Sockets> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-socket-'));
  const listener = createServer();
  listener.listen(join(folder, 's'));
  await once(listener, 'listening');
  const client = connect({ path: join(folder, 's'), ...reader?.options });
  const [server] = (await once(listener, 'connection')) as [Socket];
  const end = async () => {
    client.destroy();
    server.destroy();
    listener.close();
    await once(listener, 'close');
    rmSync(folder, { recursive: true });
  };
  return { client, server, [Symbol.asyncDispose]: end };
}

describeChannel('a Unix socket', async () => {
  const sockets = await unixSockets();
  const { client, server } = sockets;
  return {
    left: new SocketChannel(client),
    right: new SocketChannel(server),
    cut: () => {
      client.destroy();
      server.destroy();
    },
    [Symbol.asyncDispose]: () => sockets[Symbol.asyncDispose](),
  };
});

/** Its messages are gone when they were read. */
function copying(channel: Channel): Channel {
  return {
    open: (handlers) =>
      channel.open({
        onMessage: (message) => handlers.onMessage(Buffer.from(message)),
        onDrain: () => handlers.onDrain(),
        onClosed: (error) => handlers.onClosed(error),
      }),
    send: (message) => channel.send(message),
    close: (error) => channel.close(error),
  };
}

describeChannel('a Unix socket that is read in place', async () => {
  const reader = new MessageReader();
  const sockets = await unixSockets(reader);
  const { client, server } = sockets;
  return {
    left: copying(new SocketChannel(client, reader)),
    right: new SocketChannel(server),
    cut: () => {
      client.destroy();
      server.destroy();
    },
    [Symbol.asyncDispose]: () => sockets[Symbol.asyncDispose](),
  };
});

describe.each(['worker', 'router'] as const)('gRPC to a %s', (kind) => {
  describeChannel('as a channel', async (): Promise<ChannelsUnderTest> => {
    const server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: server.address });
    const { left, right } = await streamOf(server, () =>
      kind === 'worker' ? transport.openWorker(server.address) : transport.openRouter(),
    );
    return {
      left,
      right,
      cut: () => server.stop(),
      [Symbol.asyncDispose]: async () => {
        await transport.close();
        await server[Symbol.asyncDispose]();
      },
    };
  });
});

describe('a socket channel', () => {
  it('ends with an error when the process at the other end dies, though its socket ends in order', async () => {
    await using sockets = await unixSockets();
    const end = new ChannelEnd(new SocketChannel(sockets.server));
    sockets.client.end();
    expect(await end.closed()).toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
  });

  it('refuses a length that no message may have', async () => {
    await using sockets = await unixSockets();
    const end = new ChannelEnd(new SocketChannel(sockets.server));
    sockets.client.write(Buffer.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3]));
    expect(await end.closed()).toMatchObject({ code: 'PayloadTooLarge' });
  });

  it('reads in place what is longer than its memory, and goes on in that', () => {
    const reader = new MessageReader();
    const { buffer } = reader.options.onread;
    const room = () => (buffer as () => Buffer)();
    const sent = [5, 300_000, 0, 262_144, 262_140, 1_000_000, 7].map((bytes, i) => Buffer.alloc(bytes, `${i}`));
    const received: Buffer[] = [];
    const wire = Buffer.concat(sent.flatMap((message) => [u32(message.length), message]));
    for (let at = 0; at < wire.length; ) {
      const taken = wire.copy(room(), 0, at, at + 100_001);
      expect(taken).toBeGreaterThan(0);
      reader.came(taken, (message) => received.push(Buffer.from(message.subarray(4))) > 0);
      at += taken;
    }
    expect(received.map(({ length }) => length)).toEqual(sent.map(({ length }) => length));
    expect(received.every((message, i) => sent[i]?.equals(message))).toBe(true);
    expect(room().length).toBe(262_144);
  });

  it('gives memory that was read back when a message has copied it, and no memory that a message is in', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 90_000 }), { minLength: 1, maxLength: 12 });
    const reads = fc.array(fc.integer({ min: 1, max: 80_000 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, reads, (bytes, cuts) => {
        const sent = bytes.map((length, i) => Buffer.alloc(length, i + 1));
        const wire = Buffer.concat(sent.flatMap((message) => [u32(message.length), message]));
        const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
        const received: Uint8Array[] = [];
        const ignore = (): void => undefined;
        const onMessage = (message: Uint8Array) => void received.push(message);
        new SocketChannel(socket).open({ onMessage, onDrain: ignore, onClosed: ignore });
        const held: Buffer[] = [];
        for (let at = 0, i = 0; at < wire.length; i += 1) {
          const piece = wire.subarray(at, at + (cuts[i % cuts.length] ?? 1));
          const read = Buffer.allocUnsafeSlow(piece.length);
          read.set(piece);
          held.push(read);
          socket.emit('data', read);
          at += piece.length;
        }
        expect(received.map((message, i) => sent[i]?.equals(message))).toEqual(sent.map(() => true));
        // What is as long as what is freed at all is either freed or part of a message.
        const memory = new Set(received.map(({ buffer }) => buffer));
        for (const { buffer } of held) expect(buffer.byteLength < 16_384 || memory.has(buffer)).toBe(true);
      }),
    );
  });

  it('leaves memory alone of which it was given a part', () => {
    const wire = Buffer.concat([u32(40_000), Buffer.alloc(40_000, 1)]);
    const socket = new Duplex({ read: () => undefined, write: (_chunk, _encoding, done) => done() });
    const end = new ChannelEnd(new SocketChannel(socket));
    socket.emit('data', wire.subarray(0, 20_000));
    socket.emit('data', wire.subarray(20_000));
    expect(end.messages.map(({ length }) => length)).toEqual([40_000]);
    expect(wire.length).toBe(40_004);
  });

  it.each(['from pieces', 'in place'])('reads messages %s however their bytes are cut', async (how) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 10 }),
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 60 }),
        async (messages, cuts) => {
          const reader = how === 'in place' ? new MessageReader() : undefined;
          await using sockets = await unixSockets(reader);
          const [near, far] =
            reader === undefined ? [sockets.server, sockets.client] : [sockets.client, sockets.server];
          const end = new ChannelEnd(copying(new SocketChannel(near, reader ?? null)));
          let rest = Buffer.concat(messages.flatMap((message) => [u32(message.length), Buffer.from(message)]));
          far.setNoDelay(true);
          for (const cut of cuts) {
            if (rest.length === 0) break;
            await new Promise<void>((resolve) => far.write(rest.subarray(0, cut), () => setImmediate(resolve)));
            rest = rest.subarray(cut);
          }
          far.write(rest);
          const received = await end.received(messages.length);
          return messages.every((message, i) => Buffer.from(message).equals(received[i] as Uint8Array));
        },
      ),
      { numRuns: 30 },
    );
  });
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** As grpc-js takes what a serializer returns. */
function written(message: Buffer): Buffer {
  const whole = Buffer.alloc(message.byteLength + 5);
  message.copy(whole, 5);
  return whole.subarray(5);
}

describe('messages over gRPC', () => {
  it('are the protobuf that the proto says', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000, size: 'max' }), (bytes) => {
        const batch = written(linkBatchFormat.serialize(bytes));
        const decoded = LinkBatch.decode(batch);
        const split = new SplitBatch(Buffer.from(bytes.subarray(0, 17)), bytes.subarray(17));
        const isSame = written(linkBatchFormat.serialize(split)).equals(batch);
        const back = linkBatchFormat.deserialize(
          Buffer.from(LinkBatch.encode({ ...LinkBatch.decode(Buffer.alloc(0)), batch: Buffer.from(bytes) }).finish()),
        );
        return isSame && decoded.batch.equals(bytes) && Buffer.from(bytes).equals(back as Uint8Array);
      }),
      { numRuns: 200 },
    );
    for (const count of [0, 1, 300, 0xff_ff_ff_ff]) {
      const told = linkBatchFormat.serialize(new OnLane(count));
      // Protobuf writes no zero of its own, and reads one.
      expect(LinkBatch.decode(told)).toMatchObject({ onLane: count, laneId: Buffer.alloc(0) });
      expect(linkBatchFormat.deserialize(told)).toEqual(new OnLane(count));
    }
    const offer = new LaneOffer('0123456789abcdef');
    expect(linkBatchFormat.deserialize(linkBatchFormat.serialize(offer))).toEqual(offer);
    const notice = new CloseNotice(Buffer.alloc(300, 'e'));
    expect(LinkBatch.decode(linkBatchFormat.serialize(notice)).closeError).toEqual(notice.error);
    expect(ControlBatch.decode(encodedFormat.serialize(notice)).closeError).toEqual(notice.error);
    expect(encodedFormat.deserialize(encodedFormat.serialize(notice))).toEqual(notice);
  });

  it('are refused when they are anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        try {
          linkBatchFormat.deserialize(Buffer.from(bytes));
          encodedFormat.deserialize(Buffer.from(bytes));
          return true;
        } catch (error) {
          return isHoldfastError(error, 'InvalidArgument');
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('end their own stream alone when they are malformed', async () => {
    await using server = await grpcServer();
    const good = createGrpcTransport({ endpoint: server.address });
    const { left, right } = await streamOf(server, () => good.openWorker(server.address));
    const [goodLeft, goodRight] = [new ChannelEnd(left), new ChannelEnd(right)];
    const client = new Client(server.address, credentials.createInsecure(), clientOptions);
    const accepted = server.accepted();
    const same = (bytes: Buffer) => bytes;
    const stream = client.makeBidiStreamRequest(workerService['calls']?.path ?? '', same, same);
    const bad = new ChannelEnd(await accepted);
    const failed = once(stream, 'error').catch((error: unknown) => [error]);
    stream.write(Buffer.from([0x0a, 0x7f, 1, 2]));
    expect(await bad.closed()).not.toBeNull();
    expect(await failed).toHaveLength(1);
    goodLeft.channel.send(Buffer.from('still here'));
    expect(Buffer.from((await goodRight.received(1))[0] as Uint8Array).toString()).toBe('still here');
    client.close();
    await good.close();
  });
});
