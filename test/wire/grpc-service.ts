import type { ServerReadableStream, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { systemClock } from '../../src/adapters/system/clock.js';
import { HoldfastError } from '../../src/common/errors.js';
import type { Channel } from '../../src/common/ports/channel.js';
import { type Deployment, type DeployPart, LogLine, type LogsRequest } from '../../src/wire/gen/holdfast/v1/router.js';
import { toGrpcError } from '../../src/wire/grpc/grpc-errors.js';
import {
  channelHandler,
  createGrpcServer,
  type GrpcPeer,
  listenGrpc,
  peerOf,
  routerService,
  stopGrpcServer,
  workerService,
} from '../../src/wire/grpc/grpc-server.js';
import type { TlsTexts } from '../../src/wire/grpc/grpc-transport.js';

export interface GrpcOptions {
  readonly authorize?: (peer: GrpcPeer) => void | Promise<void>;
  readonly tls?: TlsTexts;
}

export interface GrpcUnderTest extends AsyncDisposable {
  readonly address: string;
  readonly peers: GrpcPeer[];
  accepted(): Promise<Channel>;
  stop(): void;
  /** Resolves when the first stream of log lines was cancelled. */
  readonly logsEnded: Promise<void>;
}

/**
 * Serves both services. `authorize` is asked for every stream; `Deploy` answers with the bytes it got, `Logs` with lines
 * without end, `ListWorkers` to the token `good` alone.
 */
export async function grpcServer(options: GrpcOptions = {}): Promise<GrpcUnderTest> {
  const server = createGrpcServer();
  const waiting: ((channel: Channel) => void)[] = [];
  const peers: GrpcPeer[] = [];
  const handler = channelHandler({
    authorize: (peer) => {
      peers.push(peer);
      return options.authorize?.(peer);
    },
    accept: (channel) => waiting.shift()?.(channel),
  });
  const unary = (call: Parameters<typeof peerOf>[0], answer: (error: unknown, reply?: object) => void) => {
    if (peerOf(call).token === 'good') answer(null, { workers: [] });
    else answer(toGrpcError(new HoldfastError('Unauthenticated', 'who are you?', { details: { hint: 'token' } })));
  };
  const deploy = (call: ServerReadableStream<DeployPart, Deployment>, answer: sendUnaryData<Deployment>) => {
    let bytes = 0;
    call.on('data', ({ part }: DeployPart) => {
      if (part?.$case === 'bundle') bytes += part.value.length;
      else answer(toGrpcError(new HoldfastError('AlreadyExists', 'that bundle is there')));
    });
    call.on('end', () =>
      answer(null, { app: 'a', version: bytes, bundleSha256: '', createdAtMs: 0, manifestJson: '' }),
    );
  };
  let endLogs = (): void => undefined;
  const logsEnded = new Promise<void>((resolve) => {
    endLogs = resolve;
  });
  const logs = (call: ServerWritableStream<LogsRequest, LogLine>) => {
    let ended = false;
    call.on('cancelled', () => {
      ended = true;
      endLogs();
    });
    const write = (line: number): void => {
      if (ended) return;
      call.write({ ...LogLine.decode(new Uint8Array(0)), message: `line ${line}` });
      setImmediate(() => write(line + 1));
    };
    write(0);
  };
  const served = ['control', 'listWorkers', 'deploy', 'logs'];
  const others = Object.keys(routerService).filter((name) => !served.includes(name));
  server.addService(workerService, { calls: handler });
  server.addService(routerService, {
    control: handler,
    listWorkers: unary as never,
    deploy: deploy as never,
    logs: logs as never,
    ...Object.fromEntries(others.map((name) => [name, () => undefined])),
  });
  const port = await listenGrpc(server, '127.0.0.1:0', options.tls);
  return {
    logsEnded,
    address: `${options.tls === undefined ? '127.0.0.1' : 'localhost'}:${port}`,
    peers,
    accepted: () => new Promise((resolve) => waiting.push(resolve)),
    stop: () => server.forceShutdown(),
    [Symbol.asyncDispose]: () => stopGrpcServer(server, systemClock, 100),
  };
}

/** The server's end is handed on within the tick in which it came; nothing happens to the client's end before. */
export async function streamOf(server: GrpcUnderTest, open: () => Channel): Promise<{ left: Channel; right: Channel }> {
  const accepted = server.accepted();
  const left = open();
  return { left, right: await accepted };
}
