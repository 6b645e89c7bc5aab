import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/system/clock.js';
import { createGrpcTransport, type TlsTexts } from '../../src/wire/grpc/grpc-transport.js';
import { serveWorker, type WorkerServer } from '../../src/wire/grpc/worker-server.js';
import { makeCertificates } from '../certificates.js';
import { ChannelEnd } from '../contracts/channel-contract.js';
import { grpcServer } from './grpc-service.js';

/** More than the ten seconds in which a connection has to say what it is, and less than the two minutes of Node's TLS. */
const timeoutMs = 60_000;
const closings: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
});

/** Echoes what it is sent. */
async function echo(tls?: TlsTexts): Promise<WorkerServer> {
  const server = await serveWorker('127.0.0.1:0', {
    accept: (channel) =>
      channel.open({ onMessage: (m) => void channel.send(m), onDrain: () => undefined, onClosed: () => undefined }),
    serveBytes: async () => undefined,
    clock: systemClock,
    tls,
  });
  closings.push(() => server.close());
  return server;
}

function certificates(): TlsTexts {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-stray-'));
  closings.push(() => rmSync(folder, { recursive: true }));
  const { ca, cert, key } = makeCertificates(folder);
  const read = (path: string): string => readFileSync(path, 'utf8');
  return { ca: read(ca), cert: read(cert), key: read(key) };
}

const portOf = ({ address }: { readonly address: string }): number => Number(address.split(':')[1]);

/** Resolves when the server has ended it. */
async function isEnded(socket: Socket): Promise<void> {
  closings.push(() => void socket.destroy());
  socket.on('error', () => undefined);
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
}

function dial(server: { readonly address: string }, said: string | Buffer): Promise<void> {
  const socket = connect(portOf(server), '127.0.0.1');
  if (said.length > 0) socket.write(said);
  return isEnded(socket);
}

/** Both ways, again and again: beyond the first messages on a lane. */
async function talks(server: WorkerServer, tls?: TlsTexts, address = server.address): Promise<void> {
  const transport = createGrpcTransport({ endpoint: address, tls, clock: systemClock });
  const end = new ChannelEnd(transport.openWorker(address));
  for (let i = 1; i <= 100; i += 1) {
    end.channel.send(Buffer.from(`${i}`));
    await end.received(i);
  }
  expect(end.messages.map(String)).toEqual(Array.from({ length: 100 }, (_, i) => `${i + 1}`));
  await transport.close();
}

describe('whoever reaches the port of a worker or router', () => {
  it(
    'and does not go on with what he began is sent away, and others are served meanwhile',
    async () => {
      const server = await echo();
      const strays = [
        dial(server, ''),
        dial(server, 'hf'),
        dial(server, `hflanes1${'0'.repeat(31)}`),
        // A lane that no stream asks for.
        dial(server, `hflanes1${'0'.repeat(32)}and what it has to say`),
        dial(server, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        dial(server, 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'),
        dial(server, Buffer.alloc(100_000, 0xff)),
      ];
      await talks(server);
      await Promise.all(strays);
      await talks(server);
    },
    timeoutMs,
  );

  it(
    'and does not go on with the handshake of TLS is sent away as soon',
    async () => {
      const tls = certificates();
      const server = await echo(tls);
      // The beginning of a ClientHello.
      const router = await grpcServer({ tls });
      closings.push(() => router[Symbol.asyncDispose]());
      const strays = [server, router].flatMap((each) => [dial(each, ''), dial(each, Buffer.from([22, 3, 1, 2, 0]))]);
      await talks(server, tls);
      await Promise.all(strays);
    },
    timeoutMs,
  );

  it('has lanes behind the same certificates as calls', async () => {
    const tls = certificates();
    const server = await echo(tls);
    const connections: Socket[] = [];
    const proxy = createServer((client) => {
      const worker = connect(portOf(server), '127.0.0.1');
      connections.push(client, worker);
      for (const socket of [client, worker]) socket.on('error', () => undefined);
      client.pipe(worker).pipe(client);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    closings.push(() => {
      for (const socket of connections) socket.destroy();
      proxy.close();
    });
    await talks(server, tls, `127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    expect(connections).toHaveLength(4);
    const { ca } = tls;
    const shown = connectTls({ port: portOf(server), host: 'localhost', ca, ALPNProtocols: ['h2'] });
    shown.write(`hflanes1${'0'.repeat(32)}`);
    const told: Buffer[] = [];
    shown.on('data', (bytes: Buffer) => told.push(bytes));
    await isEnded(shown);
    expect(told).toEqual([]);
  });
});

describe('a lane', () => {
  it('that says what cannot be breaks its own channel, and no other', async () => {
    const server = await echo();
    const lanes: Socket[] = [];
    const sockets: Socket[] = [];
    const proxy = createServer((client) => {
      client.on('error', () => undefined);
      client.once('data', (first: Buffer) => {
        const worker = connect(portOf(server), '127.0.0.1');
        sockets.push(client, worker);
        worker.on('error', () => undefined);
        if (first.toString('latin1', 0, 8) === 'hflanes1') lanes.push(worker);
        worker.write(first);
        client.pipe(worker).pipe(client);
      });
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    closings.push(() => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
    });
    const address = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const transport = createGrpcTransport({ endpoint: address, clock: systemClock });
    closings.push(() => transport.close());
    const end = new ChannelEnd(transport.openWorker(address));
    for (let i = 1; i <= 100; i += 1) {
      end.channel.send(Buffer.from('x'));
      await end.received(i);
    }
    // A message of 2 GiB less one byte.
    lanes[0]?.write(Buffer.from([0xff, 0xff, 0xff, 0x7f]));
    expect(await end.closed()).toMatchObject({ code: 'PayloadTooLarge' });
    await talks(server);
  });
});
