import { once } from 'node:events';
import { connect, type Settings } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';
import { HoldfastError } from '../../src/common/errors.js';
import type { ByteStream } from '../../src/common/ports/byte-stream.js';
import { ByteTickets } from '../../src/runtime/sandbox/guest/byte-tickets.js';
import { createGrpcTransport, type GrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { serveWorker, type WorkerServer } from '../../src/wire/grpc/worker-server.js';

let mayRun: boolean;
let tickets: ByteTickets;
let server: WorkerServer;
let transport: GrpcTransport;

beforeEach(async () => {
  mayRun = true;
  tickets = new ByteTickets({ random: systemRandom, mayRun: () => mayRun });
  server = await serveWorker('127.0.0.1:0', {
    accept: (channel) => channel.close(),
    serveBytes: (ticket, stream) => tickets.serve(ticket, stream),
    clock: systemClock,
  });
  transport = createGrpcTransport({ endpoint: server.address });
});

afterEach(async () => {
  await transport.close();
  await server.close();
});

const open = (serve: (stream: ByteStream) => Promise<void>): ByteStream =>
  transport.openBytes(server.address, tickets.issue(serve).ticket);

async function read(stream: ByteStream): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  // Each is good until the next is asked for.
  for await (const piece of stream.read()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => null,
    (error: HoldfastError) => error.code,
  );
}

test('clients are told of windows and frames in which files travel fast', async () => {
  const session = connect(`http://${server.address}`);
  const [settings] = (await once(session, 'remoteSettings')) as [Settings];
  expect(settings).toMatchObject({ initialWindowSize: 1_048_576, maxFrameSize: 262_144 });
  while ((session.state.remoteWindowSize ?? 0) < 1_048_576) await new Promise((resolve) => setImmediate(resolve));
  session.destroy();
});

describe('a stream of bytes', () => {
  test('gives the memory of a piece back when the next is asked for, and not before', async () => {
    const sent = Buffer.alloc(4_000_000, 'memory');
    const down = open((stream) => stream.write(sent));
    const seen: Uint8Array[] = [];
    let [bytes, isWhole] = [0, true];
    for await (const piece of down.read()) {
      bytes += piece.length;
      isWhole &&= piece.length > 0 && Buffer.compare(piece, sent.subarray(bytes - piece.length, bytes)) === 0;
      seen.push(piece);
    }
    expect([bytes, isWhole]).toEqual([sent.length, true]);
    expect(seen.filter(({ length }) => length === 0).length).toBeGreaterThan(seen.length / 2);
  });

  test('carries them both ways, in order, whatever their size, until each side has ended', async () => {
    const sent = Buffer.from(Array.from({ length: 1_000_003 }, (_, i) => i % 251));
    const echo = open(async (stream) => {
      const got = await read(stream);
      await stream.write(got.subarray(0, 5));
      await stream.write(got.subarray(5));
    });
    await echo.write(sent.subarray(0, 1));
    await echo.write(new Uint8Array(0));
    await echo.write(sent.subarray(1));
    echo.end();
    expect((await read(echo)).equals(sent)).toBe(true);
  });

  test('has taken the bytes when it resolves: their buffer may be used again then', async () => {
    let goOn = (): void => undefined;
    const written = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let got: Buffer = Buffer.alloc(0);
    const stream = open(async (up) => {
      await written;
      got = await read(up);
    });
    const buffer = Buffer.alloc(200_000, 1);
    await stream.write(buffer);
    buffer.fill(2);
    goOn();
    stream.end();
    await read(stream);
    expect(got.equals(Buffer.alloc(200_000, 1))).toBe(true);
  });

  test('waits for a side that does not read', async () => {
    let goOn = (): void => undefined;
    const told = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let total = 0;
    const stream = open(async (up) => {
      await told;
      for await (const piece of up.read()) total += piece.length;
    });
    let written = 0;
    const writing = (async () => {
      for (; written < 256; written += 1) await stream.write(Buffer.alloc(1_000_000));
      stream.end();
    })();
    // A round trip on the same connection: by then all that is taken without being read has been.
    await codeOf(read(transport.openBytes(server.address, 'of nobody')));
    expect(written).toBeLessThan(64);
    goOn();
    await writing;
    await read(stream);
    expect(total).toBe(256_000_000);
  });

  test('ends with what its server throws, also while more is being written', async () => {
    const stream = open(async (up) => {
      for await (const _first of up.read()) throw new HoldfastError('FileNotFound', 'it is gone');
    });
    const writing = (async () => {
      for (;;) await stream.write(Buffer.alloc(1_000_000));
    })();
    await expect(writing).rejects.toMatchObject({ code: 'FileNotFound', message: 'it is gone' });
    await expect(read(stream)).rejects.toMatchObject({ code: 'FileNotFound' });
  });

  test('tells its server that the client left', async () => {
    let left = (_code: unknown): void => undefined;
    const seen = new Promise((resolve) => {
      left = resolve;
    });
    const stream = open(async (down) => {
      const writing = (async () => {
        for (;;) await down.write(Buffer.alloc(100_000));
      })();
      left(await codeOf(writing));
    });
    for await (const _piece of stream.read()) break;
    expect(await seen).toBe('Cancelled');
  });

  test('breaks with its worker', async () => {
    const stream = open((up) => read(up).then(() => undefined));
    await stream.write(Buffer.alloc(10));
    const closing = server.close();
    expect(await codeOf(read(stream))).toBe('Unavailable');
    await closing;
  });
});

describe('a connection of bytes', () => {
  const dial = async (): Promise<Socket> => {
    const port = Number(server.address.split(':')[1]);
    const socket = connectTcp(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  const received = (): { readonly serve: (stream: ByteStream) => Promise<void>; readonly code: Promise<unknown> } => {
    let told = (_code: unknown): void => undefined;
    const code = new Promise<unknown>((resolve) => {
      told = resolve;
    });
    return { code, serve: async (stream) => told(await codeOf(read(stream))) };
  };

  test('that closes without the end has lost what it carried, however politely it closes', async () => {
    const { serve, code } = received();
    const socket = await dial();
    const piece = Buffer.concat([Buffer.from([0, 0, 0, 5]), Buffer.from('whole')]);
    socket.end(Buffer.concat([Buffer.from(`hfbytes1${tickets.issue(serve).ticket}`), piece]));
    expect(await code).toBe('Cancelled');
    socket.destroy();
  });

  test('may come byte by byte', async () => {
    let got = '';
    const socket = await dial();
    socket.setNoDelay(true);
    const { ticket } = tickets.issue(async (stream) => {
      got = (await read(stream)).toString();
    });
    const hello = Buffer.from(`hfbytes1${ticket}`);
    const frames = Buffer.concat([Buffer.from([0, 0, 0, 3]), Buffer.from('abc'), Buffer.from([0, 0, 0, 0])]);
    for (const byte of Buffer.concat([hello, frames])) {
      await new Promise<void>((resolve) => socket.write(Buffer.from([byte]), () => resolve()));
    }
    const [end] = (await once(socket, 'data')) as [Buffer];
    expect([got, [...end]]).toEqual(['abc', [0, 0, 0, 0]]);
    socket.destroy();
  });

  test.each([
    ['a piece that is too long', [0, 0x10, 0, 1]],
    ['an error that is too long', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['an error', [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 7]],
  ])('with %s of its client is over', async (_what, bytes) => {
    const { serve, code } = received();
    const socket = await dial();
    socket.write(Buffer.concat([Buffer.from(`hfbytes1${tickets.issue(serve).ticket}`), Buffer.from(bytes)]));
    expect(await code).toBe('Cancelled');
    socket.destroy();
  });

  test('with another hello is closed, and others are served on', async () => {
    const socket = await dial();
    socket.write('hfbytes0'.padEnd(64));
    await once(socket, 'close');
    expect((await read(open((stream) => stream.write(Buffer.from('on'))))).toString()).toBe('on');
  });
});

describe('a ticket', () => {
  test('is good once, and not after it was withdrawn', async () => {
    const { ticket } = tickets.issue((stream) => stream.write(Buffer.from('x')));
    const again = () => read(transport.openBytes(server.address, ticket));
    expect((await again()).toString()).toBe('x');
    expect(await codeOf(again())).toBe('PermissionDenied');
    const withdrawn = tickets.issue(async () => undefined);
    withdrawn.withdraw();
    expect(await codeOf(read(transport.openBytes(server.address, withdrawn.ticket)))).toBe('PermissionDenied');
    expect(await codeOf(read(transport.openBytes(server.address, '')))).toBe('PermissionDenied');
  });

  test('gives nothing at a boot that is over (S7)', async () => {
    const stream = open(async (down) => {
      await down.write(Buffer.from('before'));
      mayRun = false;
      await down.write(Buffer.from('stale'));
    });
    const got: string[] = [];
    const reading = (async () => {
      for await (const piece of stream.read()) got.push(Buffer.from(piece).toString());
    })();
    expect(await codeOf(reading)).toBe('Unavailable');
    expect(got).not.toContain('stale');
  });
});
