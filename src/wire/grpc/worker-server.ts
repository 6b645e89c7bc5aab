import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';
import type { Clock } from '../../common/clock.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { Channel } from '../../common/ports/channel.js';
import { ByteConnection, bytesHello, ticketChars } from '../byte-connection.js';
import { cannotListen } from './cannot-listen.js';
import { patienceMs } from './grpc-options.js';
import {
  channelHandler,
  checkServerTls,
  createGrpcServer,
  endFailedHandshakes,
  stopGrpcServer,
  tuneConnections,
  workerService,
} from './grpc-server.js';
import type { TlsTexts } from './grpc-transport.js';
import { laneHello } from './lane.js';
import { Lanes } from './lanes.js';

/** A worker's data path, listening. */
export interface WorkerServer {
  /** `host:port`, the port that it got. */
  readonly address: string;
  /** Ends the streams that are open. */
  close(): Promise<void>;
}

const closeGraceMs = 1_000;
/** Of either kind. */
const helloBytes = bytesHello.length + ticketChars;

/**
 * Serves `Worker`, and beside it, on the same port, connections of bytes. Anyone may open either: what may be called then is
 * for capabilities, and what bytes may be had for tickets.
 * @param address `host:port`; port 0: a free one
 * @throws Unavailable, InvalidArgument
 */
export async function serveWorker(
  address: string,
  options: {
    /** Opens the channel before it returns. */
    readonly accept: (channel: Channel) => void;
    /** Resolves when nothing more is to be read or written. */
    readonly serveBytes: (ticket: string, stream: ByteStream) => Promise<void>;
    readonly clock: Clock;
    readonly tls?: TlsTexts | undefined;
  },
): Promise<WorkerServer> {
  const { accept, serveBytes, clock, tls } = options;
  const grpc = createGrpcServer();
  const lanes = new Lanes(clock);
  grpc.addService(workerService, { calls: channelHandler({ authorize: () => undefined, accept, lanes }) });
  // What TLS has to be taken off is taken off before.
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  tuneConnections(grpc);
  const sockets = new Set<Socket>();
  const onSocket = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    tellApart(socket, clock, {
      grpc: () => injector.injectConnection(socket),
      bytes: (ticket) => void serveOne(socket, clock, (stream) => serveBytes(ticket, stream)),
      lane: (id) => {
        const late = clock.after(patienceMs, () => {
          if (lanes.isWaiting(socket, id)) socket.destroy();
        });
        socket.once('close', () => late.cancel());
        lanes.arrived(id, socket);
      },
    });
  };
  const listener = createListener(tls, onSocket);
  const port = await listen(listener, address);
  return {
    address: `${address.slice(0, address.lastIndexOf(':'))}:${port}`,
    close: async () => {
      listener.close();
      await stopGrpcServer(grpc, clock, closeGraceMs);
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** @throws InvalidArgument */
function createListener(tls: TlsTexts | undefined, onSocket: (socket: Socket) => void): NetServer {
  if (tls === undefined) return createServer({ noDelay: true }, onSocket);
  const { cert, key } = checkServerTls(tls);
  const { ca } = tls;
  const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true };
  const options = { cert, key, ...clients, ALPNProtocols: ['h2'], noDelay: true, handshakeTimeout: patienceMs };
  return endFailedHandshakes(createTlsServer(options, onSocket));
}

function listen(listener: NetServer, address: string): Promise<number> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => reject(cannotListen(address, error));
    listener.once('error', refused);
    try {
      listener.listen(Number(address.slice(colon + 1)), host, () => {
        listener.off('error', refused);
        // One connection that cannot be accepted is no reason to end.
        listener.on('error', () => undefined);
        const bound = listener.address();
        if (bound !== null && typeof bound === 'object') resolve(bound.port);
      });
    } catch (error) {
      refused(error as Error);
    }
  });
}

/** By its first bytes, once they are there. */
function tellApart(
  socket: Socket,
  clock: Clock,
  kinds: {
    readonly grpc: () => void;
    readonly bytes: (ticket: string) => void;
    readonly lane: (id: string) => void;
  },
): void {
  const late = clock.after(patienceMs, () => socket.destroy());
  const known = (): void => {
    late.cancel();
    socket.off('readable', look);
    socket.off('end', leave);
  };
  const leave = (): void => {
    known();
    socket.destroy();
  };
  const look = (): void => {
    const first = socket.read(1) as Buffer | null;
    if (first === null) return;
    socket.unshift(first);
    if (first[0] !== bytesHello[0]) {
      known();
      return kinds.grpc();
    }
    const hello = socket.read(helloBytes) as Buffer | null;
    if (hello === null) return;
    const isLane = isBegunBy(laneHello, hello);
    if (!isLane && !isBegunBy(bytesHello, hello)) return leave();
    known();
    if (isLane) kinds.lane(hello.toString('latin1', laneHello.length));
    else kinds.bytes(hello.toString('latin1', bytesHello.length));
  };
  // Until it is known who is told of them.
  socket.on('error', () => late.cancel());
  socket.on('readable', look);
  socket.on('end', leave);
  socket.once('close', () => late.cancel());
}

function isBegunBy(start: Buffer, hello: Buffer): boolean {
  return hello.compare(start, 0, start.length, 0, start.length) === 0;
}

async function serveOne(socket: Socket, clock: Clock, serve: (stream: ByteStream) => Promise<void>): Promise<void> {
  const stream = new ByteConnection(socket, 'server', `${socket.remoteAddress}:${socket.remotePort}`);
  try {
    await serve(stream);
    stream.end();
  } catch (error) {
    stream.fail(error);
  }
  // What the client has sent meanwhile is read and dropped: a reset would take from it how this has ended.
  socket.end();
  const late = clock.after(patienceMs, () => socket.destroy());
  socket.once('close', () => late.cancel());
}
