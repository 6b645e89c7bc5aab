import { createServer, type Server, type Socket } from 'node:net';
import { HoldfastError } from '../../common/errors.js';
import { PieceWindow, pieceBytes } from './piece-window.js';
import type { SessionCalls } from './session-calls.js';

/** A local port that reaches a port inside. */
export interface Forwarding {
  readonly localPort: number;
  /** Ends its connections too. */
  close(): Promise<void>;
}

const mostConnections = 512;

/** The ports of one session that are open here: they end with it (X5), or a program that has forgotten one would not end. */
export class Forwardings {
  readonly #open = new Set<Forwarding>();
  #isOver = false;

  /** @throws InvalidArgument for what is no port, Unavailable for a local one that is taken, InstanceClosed where the session is */
  async open(calls: SessionCalls, ports: Parameters<typeof forward>[1]): Promise<Forwarding> {
    const { localPort, close } = await forward(calls, ports);
    const forwarding = {
      localPort,
      close: async () => {
        this.#open.delete(forwarding);
        await close();
      },
    };
    this.#open.add(forwarding);
    if (!this.#isOver) return forwarding;
    await forwarding.close();
    throw new HoldfastError('InstanceClosed', `${calls.label} was closed: none of its ports is forwarded any more`);
  }

  /** Those too that are being opened. */
  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#open].map((forwarding) => forwarding.close()));
  }
}

/** @throws InvalidArgument for what is no port, Unavailable for a local one that is taken */
async function forward(
  calls: SessionCalls,
  { port, localPort = 0 }: { readonly port: number; readonly localPort?: number | undefined },
): Promise<Forwarding> {
  checkPort('port', port, 1);
  checkPort('localPort', localPort, 0);
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => {
      // Its end follows, and with it that of the connection inside.
    });
    void join(calls, port, socket);
  });
  server.maxConnections = mostConnections;
  await listening(server, localPort);
  const address = server.address();
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  return { localPort: typeof address === 'object' && address !== null ? address.port : localPort, close };
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', resolve);
    server.once('error', (cause) => {
      reject(new HoldfastError('Unavailable', `cannot listen on local port ${port}: ${cause.message}`, { cause }));
    });
    server.listen(port, '127.0.0.1');
  });
}

/** Both ways, until both ends are done or one of them breaks. Never rejects. */
async function join(calls: SessionCalls, port: number, socket: Socket): Promise<void> {
  const inside = calls.stream<{ id: number } | Uint8Array>('connect', [port])[Symbol.asyncIterator]();
  try {
    const first = await inside.next();
    if (first.done || first.value instanceof Uint8Array) return void socket.destroy();
    const { id } = first.value;
    const up = sendAll(calls, id, socket);
    const down = receiveAll(inside, socket);
    // A broken end breaks the other one.
    up.catch(() => socket.destroy());
    down.catch(() => socket.destroy());
    await Promise.allSettled([up, down]);
  } catch {
    // Nobody listens inside, or the session is gone: the local end sees its connection reset.
    socket.destroy();
  } finally {
    await inside.return?.().catch(() => undefined); // gone already
  }
}

async function sendAll(calls: SessionCalls, id: number, socket: Socket): Promise<void> {
  const window = new PieceWindow((bytes) => calls.call('send', [id, bytes]));
  // Its end is that of one direction.
  for await (const piece of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    for (let at = 0; at < piece.length; at += pieceBytes) await window.write(piece.subarray(at, at + pieceBytes));
  }
  await window.flushed();
  await calls.call('sendEnd', [id]);
}

async function receiveAll(inside: AsyncIterator<unknown>, socket: Socket): Promise<void> {
  for (let step = await inside.next(); !step.done; step = await inside.next()) {
    const piece = step.value as Uint8Array;
    // The end of this direction; the other one may go on.
    if (piece.length === 0) socket.end();
    else if (!socket.write(piece)) await drained(socket);
  }
  socket.end();
}

function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('drain', done);
      socket.off('close', done);
      if (socket.destroyed) reject(new HoldfastError('Cancelled', 'the local connection was closed'));
      else resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
    if (socket.destroyed) done();
  });
}

function checkPort(what: string, port: unknown, least: number): void {
  if (Number.isInteger(port) && (port as number) >= least && (port as number) <= 65_535) return;
  throw new HoldfastError('InvalidArgument', `${what} must be a whole number from ${least} to 65535, got ${port}`);
}
