import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../src/adapters/system/clock.js';
import { HoldfastError } from '../../src/common/errors.js';
import type { ByteStream } from '../../src/common/ports/byte-stream.js';
import { ControlBatch, Deployment, DeployPart, LogLine } from '../../src/wire/gen/holdfast/v1/router.js';
import { createGrpcTransport } from '../../src/wire/grpc/grpc-transport.js';
import { serveWorker } from '../../src/wire/grpc/worker-server.js';
import { makeCertificates } from '../certificates.js';
import { ChannelEnd } from '../contracts/channel-contract.js';
import { grpcServer, streamOf } from './grpc-service.js';

describe('the transport', () => {
  it('shows its token with every call of a router, and brings errors back as they were', async () => {
    await using server = await grpcServer({
      authorize: async (peer) => {
        if (peer.token !== 'good') throw new HoldfastError('PermissionDenied', 'not you', { details: { a: 1 } });
      },
    });
    const bad = createGrpcTransport({ endpoint: server.address, token: 'bad' });
    const good = createGrpcTransport({ endpoint: server.address, token: 'good' });
    const limits = { timeoutMs: 5_000 };
    const refused = new ChannelEnd(bad.openRouter());
    expect(await refused.closed()).toMatchObject({ code: 'PermissionDenied', message: 'not you', details: { a: 1 } });
    await expect(bad.unary('ListWorkers', new Uint8Array(0), limits)).rejects.toMatchObject({
      code: 'Unauthenticated',
      details: { hint: 'token' },
    });
    expect(await good.unary('ListWorkers', new Uint8Array(0), limits)).toHaveLength(0);
    expect(server.peers.map((peer) => peer.token)).toEqual(['bad']);
    await bad.close();
    await good.close();
  });

  it('shows its token to no worker: what it dials may be anybody', async () => {
    await using server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: server.address, token: 'good' });
    for (const open of [() => transport.openRouter(), () => transport.openWorker(server.address)]) {
      const { left, right } = await streamOf(server, open);
      const [near, far] = [new ChannelEnd(left), new ChannelEnd(right)];
      near.channel.close();
      expect(await far.closed()).toBeNull();
    }
    expect(server.peers.map((peer) => peer.token)).toEqual(['good', null]);
    await transport.close();
  });

  it('names an endpoint that is not there, and says that nothing ran', async () => {
    const endpoint = await freeAddress();
    const transport = createGrpcTransport({ endpoint });
    const refused = {
      code: 'Unavailable',
      outcome: 'not-run',
      retryable: true,
      message: expect.stringContaining(endpoint),
    };
    await expect(transport.unary('ListApps', new Uint8Array(0), { timeoutMs: 5_000 })).rejects.toMatchObject(refused);
    expect(await new ChannelEnd(transport.openRouter()).closed()).toMatchObject(refused);
    expect(await new ChannelEnd(transport.openWorker(endpoint)).closed()).toMatchObject(refused);
    await transport.close();
  });

  it('goes to the next of several routers where one is not there, for whatever it is asked', async () => {
    await using server = await grpcServer();
    const endpoint = `${await freeAddress()},${server.address}`;
    const limits = { timeoutMs: 5_000 };
    const open = () => createGrpcTransport({ endpoint, token: 'good' });
    const transports = [open(), open(), open(), open()] as const;
    const [asking, uploading, downloading, streaming] = transports;
    expect(await asking.unary('ListWorkers', new Uint8Array(0), limits)).toHaveLength(0);
    const pieces = function* () {
      yield bundlePart(Buffer.alloc(10));
    };
    expect(Deployment.decode(await uploading.upload('Deploy', pieces(), limits)).version).toBe(10);
    for await (const line of downloading.download('Logs', new Uint8Array(0), {})) {
      expect(LogLine.decode(line).message).toBe('line 0');
      break;
    }
    // A stream breaks: whoever opens it again is at the next one.
    expect(await new ChannelEnd(streaming.openRouter()).closed()).toMatchObject({ code: 'Unavailable' });
    const { left, right } = await streamOf(server, () => streaming.openRouter());
    const [near, far] = [new ChannelEnd(left), new ChannelEnd(right)];
    near.channel.send(ControlBatch.encode({ requests: [], closeError: Buffer.alloc(0) }).finish());
    await far.received(1);
    await Promise.all(transports.map((transport) => transport.close()));
  });

  it('passes over a router that takes connections and says nothing', async () => {
    const silent = createServer();
    const sockets: Socket[] = [];
    silent.on('connection', (socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    await using server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: `127.0.0.1:${port},${server.address}`, token: 'good' });
    const stream = new ChannelEnd(transport.openRouter());
    expect(await stream.closed()).toMatchObject({ code: 'Unavailable', message: expect.stringContaining(`:${port}`) });
    const limits = { timeoutMs: 60_000 };
    expect(await transport.unary('ListWorkers', new Uint8Array(0), limits)).toHaveLength(0);
    const fresh = createGrpcTransport({ endpoint: `127.0.0.1:${port},${server.address}`, token: 'good' });
    expect(await fresh.unary('ListWorkers', new Uint8Array(0), limits)).toHaveLength(0);
    await Promise.all([transport.close(), fresh.close()]);
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('gives up at the deadline and at the signal when the endpoint does not answer', async () => {
    const silent = createServer();
    const sockets: Socket[] = [];
    silent.on('connection', (socket) => sockets.push(socket));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const transport = createGrpcTransport({ endpoint: `127.0.0.1:${port}` });
    await expect(transport.unary('ListApps', new Uint8Array(0), { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    const aborting = new AbortController();
    const call = transport.unary('ListApps', new Uint8Array(0), { timeoutMs: 60_000, signal: aborting.signal });
    aborting.abort(new HoldfastError('Cancelled', 'enough'));
    await expect(call).rejects.toMatchObject({ code: 'Cancelled', message: 'enough' });
    await transport.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  it('refuses what is no address, no method and half a certificate, at once', async () => {
    for (const endpoint of ['nowhere', 'http://a:1', 'a b:1', '']) {
      expect(() => createGrpcTransport({ endpoint })).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
    }
    expect(() => createGrpcTransport({ endpoint: 'a:1', tls: { cert: 'x' } })).toThrow(/both cert and key/);
    const transport = createGrpcTransport({ endpoint: 'localhost:1' });
    await expect(transport.unary('Nothing', new Uint8Array(0), { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'InvalidArgument',
    });
    await transport.close();
    expect(() => transport.openRouter()).toThrow(expect.objectContaining({ code: 'Unavailable' }));
  });

  it('reaches a worker that is served alone', async () => {
    const server = await serveWorker('127.0.0.1:0', {
      serveBytes: async () => undefined,
      clock: systemClock,
      accept: (channel) =>
        channel.open({ onMessage: (m) => void channel.send(m), onDrain: () => undefined, onClosed: () => undefined }),
    });
    const transport = createGrpcTransport({ endpoint: server.address });
    const end = new ChannelEnd(transport.openWorker(server.address));
    end.channel.send(Buffer.from('echo'));
    expect(Buffer.from((await end.received(1))[0] as Uint8Array).toString()).toBe('echo');
    await server.close();
    expect(await end.closed()).toMatchObject({ code: 'Unavailable' });
    await transport.close();
  });

  it('sends many messages for one answer, as fast as the other side reads', async () => {
    await using server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: server.address });
    const pieces = function* () {
      for (let i = 0; i < 40; i += 1) yield bundlePart(Buffer.alloc(500_000));
    };
    const answer = await transport.upload('Deploy', pieces(), { timeoutMs: 20_000 });
    expect(Deployment.decode(answer).version).toBe(20_000_000);
    const header = DeployPart.encode({
      part: { $case: 'header', value: { app: '', manifestJson: '', bundleSha256: '', instances: '' } },
    });
    await expect(transport.upload('Deploy', [header.finish()], { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'AlreadyExists',
    });
    const failing = async function* () {
      yield bundlePart(Buffer.alloc(10));
      throw new Error('the file cannot be read');
    };
    await expect(transport.upload('Deploy', failing(), { timeoutMs: 5_000 })).rejects.toThrow(
      'the file cannot be read',
    );
    await transport.close();
  });

  it('reads many answers, and cancels when the loop is left or the signal aborts', async () => {
    await using server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: server.address });
    const lines: string[] = [];
    for await (const line of transport.download('Logs', new Uint8Array(0), {})) {
      lines.push(LogLine.decode(line).message);
      if (lines.length === 3) break;
    }
    expect(lines).toEqual(['line 0', 'line 1', 'line 2']);
    await server.logsEnded;
    const aborting = new AbortController();
    const read = async () => {
      for await (const _ of transport.download('Logs', new Uint8Array(0), { signal: aborting.signal })) {
        aborting.abort(new HoldfastError('Cancelled', 'enough'));
      }
    };
    await expect(read()).rejects.toMatchObject({ code: 'Cancelled', message: 'enough' });
    await transport.close();
  });

  it('lets go of a worker when its last channel is closed, and dials again for the next', async () => {
    await using server = await grpcServer();
    const transport = createGrpcTransport({ endpoint: server.address });
    for (let i = 0; i < 3; i += 1) {
      const { left, right } = await streamOf(server, () => transport.openWorker(server.address));
      const [near, far] = [new ChannelEnd(left), new ChannelEnd(right)];
      near.channel.send(Buffer.from('hello'));
      await far.received(1);
      near.channel.close();
      await Promise.all([near.closed(), far.closed()]);
    }
    await transport.close();
  });
});

describe('the transport over TLS', () => {
  it('speaks with a server whose certificate it trusts, and shows its own', async () => {
    const { ca, cert, key } = certificates();
    await using server = await grpcServer({ tls: { ca, cert, key } });
    const limits = { timeoutMs: 5_000 };
    const mutual = createGrpcTransport({ endpoint: server.address, token: 'good', tls: { ca, cert, key } });
    expect(await mutual.unary('ListWorkers', new Uint8Array(0), limits)).toHaveLength(0);
    const { left, right } = await streamOf(server, () => mutual.openWorker(server.address));
    const [near, far] = [new ChannelEnd(left), new ChannelEnd(right)];
    near.channel.send(Buffer.from('hello'));
    expect(await far.received(1)).toHaveLength(1);
    await mutual.close();
    for (const tls of [{}, { ca }, undefined]) {
      const refused = createGrpcTransport({ endpoint: server.address, token: 'good', tls });
      await expect(refused.unary('ListWorkers', new Uint8Array(0), limits)).rejects.toMatchObject({
        code: 'Unavailable',
        message: expect.stringContaining(server.address),
      });
      await refused.close();
    }
  });

  it('reaches calls and bytes of a worker on one port, with a certificate of its authority only', async () => {
    const tls = certificates();
    const server = await serveWorker('127.0.0.1:0', {
      accept: (channel) =>
        channel.open({ onMessage: (m) => void channel.send(m), onDrain: () => undefined, onClosed: () => undefined }),
      serveBytes: (ticket, stream) => stream.write(Buffer.from(`for ${ticket}`)),
      clock: systemClock,
      tls,
    });
    const ticket = 't'.repeat(32);
    const read = async (stream: ByteStream): Promise<string> => {
      let text = '';
      for await (const piece of stream.read()) text += Buffer.from(piece).toString();
      return text;
    };
    const mutual = createGrpcTransport({ endpoint: server.address, tls });
    const end = new ChannelEnd(mutual.openWorker(server.address));
    end.channel.send(Buffer.from('echo'));
    expect(await end.received(1)).toHaveLength(1);
    expect(await read(mutual.openBytes(server.address, ticket))).toBe(`for ${ticket}`);
    for (const shown of [{ ca: tls.ca }, {}, undefined]) {
      const refused = createGrpcTransport({ endpoint: server.address, tls: shown });
      await expect(read(refused.openBytes(server.address, ticket))).rejects.toMatchObject({ code: 'Unavailable' });
      await refused.close();
    }
    await mutual.close();
    await server.close();
  });
});

function bundlePart(value: Buffer): Uint8Array {
  return DeployPart.encode({ part: { $case: 'bundle', value } }).finish();
}

function certificates(): { ca: string; cert: string; key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-tls-'));
  try {
    const { ca, cert, key } = makeCertificates(folder);
    const read = (path: string) => readFileSync(path, 'utf8');
    return { ca: read(ca), cert: read(cert), key: read(key) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function freeAddress(): Promise<string> {
  const listener = createServer();
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  listener.close();
  await once(listener, 'close');
  return `127.0.0.1:${port}`;
}
