import type { Http2Server, Settings } from 'node:http2';
import type { Server as NetServer } from 'node:net';
import { createSecureContext, type TLSSocket } from 'node:tls';
import {
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import { RouterService } from '../gen/holdfast/v1/router.js';
import { WorkerService } from '../gen/holdfast/v1/worker.js';
import { cannotListen } from './cannot-listen.js';
import { GrpcChannel } from './grpc-channel.js';
import { toGrpcError } from './grpc-errors.js';
import { type ChannelMessage, encodedFormat, linkBatchFormat } from './grpc-messages.js';
import { largestFrameBytes, patienceMs, serverOptions, windowBytes } from './grpc-options.js';
import type { TlsTexts } from './grpc-transport.js';
import type { Lanes } from './lanes.js';

/** Who is at the other end of a call. */
export interface GrpcPeer {
  /** Of `authorization: Bearer`; null: none was sent. */
  readonly token: string | null;
  /** For messages and logs. */
  readonly address: string;
}

/** How a service takes its streams. */
export interface ChannelAcceptor<Principal> {
  /** What it throws is what the client gets. */
  readonly authorize: (peer: GrpcPeer) => Principal | Promise<Principal>;
  /** Opens the channel before it returns. */
  readonly accept: (channel: Channel, principal: Principal) => void;
  /** Absent: its streams have none. */
  readonly lanes?: Lanes;
}

/** For `server.addService(workerService, { calls: … })`: messages of `Calls` are batches of a link. */
export const workerService: ServiceDefinition = {
  calls: { ...WorkerService.calls, ...formatOf(linkBatchFormat) },
};

/** The router's service, where messages of `Control` are encoded `ControlBatch`es and `ControlReplyBatch`es. */
export const routerService: ServiceDefinition = {
  ...RouterService,
  control: { ...RouterService.control, ...formatOf(encodedFormat) },
};

/** Handler of a bidi stream that becomes a channel once its client is known. */
export function channelHandler<Principal>({ authorize, accept, lanes }: ChannelAcceptor<Principal>): UntypedHandleCall {
  const begin = async (stream: ServerDuplexStream<ChannelMessage, ChannelMessage>): Promise<void> => {
    try {
      const peer = peerOf(stream);
      const principal = await authorize(peer);
      accept(new GrpcChannel({ side: 'server', stream, lanes }, peer.address), principal);
    } catch (error) {
      stream.emit('error', toGrpcError(error));
    }
  };
  return (stream: ServerDuplexStream<ChannelMessage, ChannelMessage>) => void begin(stream);
}

export function peerOf(call: { readonly metadata: Metadata; getPeer(): string }): GrpcPeer {
  const [value] = call.metadata.get('authorization');
  const token = typeof value === 'string' && /^bearer /i.test(value) ? value.slice(7).trim() : null;
  return { token, address: call.getPeer() };
}

/** A server with the options that our clients expect. */
export function createGrpcServer(): Server {
  const server = new Server(serverOptions);
  const { commonServerOptions } = innerOf(server);
  commonServerOptions.handshakeTimeout = patienceMs;
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: windowBytes,
    maxFrameSize: largestFrameBytes,
  };
  return server;
}

/** What grpc-js gives its clients an option for and its servers none: a test looks at what clients are told. */
function innerOf(server: Server) {
  return server as unknown as {
    readonly commonServerOptions: { settings?: Settings; handshakeTimeout?: number };
    readonly http2Servers: ReadonlyMap<Http2Server, unknown>;
  };
}

/** Of a server that has its listener: the window of a connection for all its streams together, and the end of one that is none. */
export function tuneConnections(server: Server): void {
  for (const http2Server of innerOf(server).http2Servers.keys()) {
    http2Server.on('session', (session) => session.setLocalWindowSize(windowBytes));
    endFailedHandshakes(http2Server);
  }
}

/** Node tells of a handshake that fails or takes too long, and leaves its connection to whoever hears of it. */
export function endFailedHandshakes<Server extends NetServer>(server: Server): Server {
  return server.on('tlsClientError', (_error: Error, socket: TLSSocket) => socket.destroy());
}

/**
 * @param address `host:port`; port 0: a free one
 * @param tls `cert` and `key`; with `ca` clients must show a certificate of it
 * @returns the port
 * @throws Unavailable, InvalidArgument
 */
export function listenGrpc(server: Server, address: string, tls?: TlsTexts): Promise<number> {
  const credentials = serverCredentials(tls);
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => {
      if (error === null) {
        tuneConnections(server);
        resolve(port);
      } else reject(cannotListen(address, error));
    });
  });
}

/** Takes no more calls, lets those under way end for `graceMs`, then breaks them. */
export async function stopGrpcServer(server: Server, clock: Clock, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = clock.after(graceMs, () => server.forceShutdown());
    server.tryShutdown(() => {
      timer.cancel();
      resolve();
    });
  });
}

function formatOf<Out, In>({
  serialize,
  deserialize,
}: {
  readonly serialize: (message: Out) => Buffer;
  readonly deserialize: (bytes: Buffer) => In;
}) {
  return {
    requestSerialize: serialize,
    requestDeserialize: deserialize,
    responseSerialize: serialize,
    responseDeserialize: deserialize,
  };
}

function serverCredentials(tls: TlsTexts | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { cert, key } = checkServerTls(tls);
  const { ca } = tls;
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) };
  return ServerCredentials.createSsl(ca === undefined ? null : Buffer.from(ca), [pair], ca !== undefined);
}

/** What a server must have. @throws InvalidArgument */
export function checkServerTls({ ca, cert, key }: TlsTexts): { readonly cert: string; readonly key: string } {
  if (cert === undefined || key === undefined) {
    throw new HoldfastError('InvalidArgument', 'a server with tls needs cert and key');
  }
  // Here they are known to be the reason; where they are used they make a port that cannot be had.
  try {
    createSecureContext({ cert, key, ca });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError('InvalidArgument', `the certificate, its key or the authority cannot be used: ${why}`, {
      cause,
    });
  }
  return { cert, key };
}
