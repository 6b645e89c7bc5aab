import type { CallOptions, ChannelCredentials, Client, Metadata, ServiceError } from '@grpc/grpc-js';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { Channel, Transport } from '../../common/ports/channel.js';
import { dialBytes, dialLane } from '../byte-dial.js';
import { RouterService } from '../gen/holdfast/v1/router.js';
import { WorkerService } from '../gen/holdfast/v1/worker.js';
import { GrpcChannel } from './grpc-channel.js';
import { fromGrpcError } from './grpc-errors.js';
import { grpcJs } from './grpc-js.js';
import { type ChannelFormat, encodedFormat, linkBatchFormat } from './grpc-messages.js';
import { clientOptions } from './grpc-options.js';
import { type DialedRouter, GrpcRouters } from './grpc-routers.js';
import { unreferenced } from './grpc-unreferenced.js';
import { sendAll } from './send-all.js';

export interface GrpcTransportOptions {
  /** `host:port` of a router; of several that are equal, separated by commas: the next where one cannot be reached. */
  readonly endpoint: string;
  /** Sent with every call of a router as `authorization: Bearer`, and to no worker: those take capabilities and tickets. */
  readonly token?: string | undefined;
  /** PEM texts; for routers and workers alike. Without it connections are plain. */
  readonly tls?: TlsTexts | undefined;
  /** Default true. False: idle or not, its connections let the process end; who waits for something holds it himself. */
  readonly keepsProcessAlive?: boolean | undefined;
  /** Of the lanes to workers; absent: it has none. */
  readonly clock?: Clock | undefined;
}

export interface TlsTexts {
  /** Default: the authorities that Node trusts. */
  readonly ca?: string | undefined;
  /** For mTLS, with `key`. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Limits of one unary or streaming call. */
export interface RpcLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** What routers and workers offer beside what `Transport` needs; messages encoded. */
export interface GrpcTransport extends Transport {
  openBytes(address: string, ticket: string): ByteStream;
  /** One answer to many messages (Deploy). @throws what the router answered, Unavailable, DeadlineExceeded, Cancelled */
  upload(
    method: string,
    requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    limits: RpcLimits,
  ): Promise<Uint8Array>;
  /** Many answers to one message (Logs); leaving the loop cancels. @throws as `upload`, from the loop */
  download(
    method: string,
    request: Uint8Array,
    limits: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Uint8Array>;
}

/** @throws InvalidArgument */
export function createGrpcTransport(options: GrpcTransportOptions): GrpcTransport {
  return new RouterTransport(options);
}

interface Connection {
  readonly client: Client;
  users: number;
}

type StartCall = (
  router: DialedRouter,
  as: {
    readonly path: string;
    readonly options: CallOptions;
    readonly answer: (error: ServiceError | null, reply?: Buffer) => void;
  },
) => { cancel(): void };

class RouterTransport implements GrpcTransport {
  readonly #endpoint: string;
  readonly #credentials: ChannelCredentials;
  readonly #dialing: Parameters<typeof dialLane>[1];
  /** Of lanes. */
  readonly #clock: Clock | undefined;
  readonly #metadata = new (grpcJs().Metadata)();
  readonly #routers: GrpcRouters;
  /** One per worker that has a channel open. */
  readonly #workers = new Map<string, Connection>();
  #isClosed = false;

  constructor({ endpoint, token, tls, keepsProcessAlive = true, clock }: GrpcTransportOptions) {
    const [first = '', ...others] = endpoint.split(',');
    this.#endpoint = endpoint;
    this.#dialing = { tls, keepsProcessAlive };
    this.#clock = clock;
    this.#credentials = keepsProcessAlive ? credentialsOf(tls) : unreferenced(credentialsOf(tls));
    if (token !== undefined) this.#metadata.set('authorization', `Bearer ${token}`);
    this.#routers = new GrpcRouters([checkedAddress(first), ...others.map(checkedAddress)], this.#credentials);
  }

  openRouter(): Channel {
    this.#check();
    return this.#routers.open(({ client, address }) => {
      const stream = streamOf(client, {
        path: RouterService.control.path,
        format: encodedFormat,
        metadata: this.#metadata,
      });
      return { channel: new GrpcChannel({ side: 'client', stream }, address), cancel: () => stream.cancel() };
    });
  }

  openWorker(address: string): Channel {
    const { client, release } = this.#useWorker(address);
    // Whoever is at an address that somebody has named learns nothing that is good elsewhere.
    const metadata = new (grpcJs().Metadata)();
    const stream = streamOf(client, { path: WorkerService.calls.path, format: linkBatchFormat, metadata });
    const clock = this.#clock;
    const lane = clock && { clock, dial: () => dialLane(address, this.#dialing) };
    return new GrpcChannel({ side: 'client', stream, lane }, address, release);
  }

  openBytes(address: string, ticket: string): ByteStream {
    this.#check();
    return dialBytes(checkedAddress(address), ticket, this.#dialing.tls);
  }

  unary(method: string, request: Uint8Array, limits: RpcLimits): Promise<Uint8Array> {
    return this.#call(method, limits, ({ client }, { path, options, answer }) =>
      client.makeUnaryRequest(path, toBuffer, same, request, this.#metadata, options, answer),
    );
  }

  async upload(
    method: string,
    requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    limits: RpcLimits,
  ): Promise<Uint8Array> {
    const source: { failure?: unknown } = {};
    const answered = this.#call(method, limits, ({ client }, { path, options, answer }) => {
      const stream = client.makeClientStreamRequest(path, toBuffer, same, this.#metadata, options, answer);
      void sendAll(stream, requests).catch((error: unknown) => {
        source.failure = error;
        stream.cancel();
      });
      return stream;
    });
    try {
      return await answered;
    } catch (error) {
      throw 'failure' in source ? source.failure : error;
    }
  }

  async *download(
    method: string,
    request: Uint8Array,
    { signal }: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Uint8Array> {
    this.#check();
    const router = await this.#routers.connected(Number.POSITIVE_INFINITY, signal);
    this.#check();
    signal?.throwIfAborted();
    const stream = router.client.makeServerStreamRequest(pathOf(method), toBuffer, same, request, this.#metadata, {});
    const cancel = () => stream.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of stream) yield message as Buffer;
    } catch (error) {
      throw this.#failure(error, { router, signal });
    } finally {
      signal?.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { client } of this.#workers.values()) client.close();
    this.#workers.clear();
    this.#routers.close();
  }

  #check(): void {
    if (this.#isClosed) throw new HoldfastError('Unavailable', `the client of ${this.#endpoint} is closed`);
  }

  /** Its connection is closed when nobody uses it any more. */
  #useWorker(address: string): { readonly client: Client; readonly release: () => void } {
    this.#check();
    const connection = this.#workerConnection(checkedAddress(address));
    connection.users += 1;
    const release = (): void => {
      connection.users -= 1;
      if (connection.users > 0) return;
      if (this.#workers.get(address) === connection) this.#workers.delete(address);
      connection.client.close();
    };
    return { client: connection.client, release };
  }

  #workerConnection(address: string): Connection {
    const known = this.#workers.get(address);
    if (known !== undefined) return known;
    const connection = { client: new (grpcJs().Client)(address, this.#credentials, clientOptions), users: 0 };
    this.#workers.set(address, connection);
    return connection;
  }

  async #call(method: string, { timeoutMs, signal }: RpcLimits, start: StartCall): Promise<Uint8Array> {
    this.#check();
    const path = pathOf(method);
    const options = callOptions(timeoutMs);
    const router = await this.#routers.connected(options.deadline, signal);
    return await new Promise((resolve, reject) => {
      this.#check();
      signal?.throwIfAborted();
      const cancel = () => call.cancel();
      const answer = (error: ServiceError | null, reply?: Buffer) => {
        signal?.removeEventListener('abort', cancel);
        if (error !== null || reply === undefined) reject(this.#failure(error, { router, signal }));
        else resolve(reply);
      };
      const call = start(router, { path, options, answer });
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  #failure(error: unknown, of: { readonly router: DialedRouter; readonly signal: AbortSignal | undefined }): unknown {
    const { router, signal } = of;
    if (signal?.aborted) return signal.reason;
    const failure = fromGrpcError(error, router.address);
    const isReady = router.client.getChannel().getConnectivityState(false) === grpcJs().connectivityState.READY;
    const isUnconnected = failure.code === 'DeadlineExceeded' && !isReady;
    if (isUnconnected || failure.code === 'Unavailable') this.#routers.leave(router);
    if (!isUnconnected) return failure;
    return new HoldfastError('Unavailable', `${router.address} did not answer in time: it is not connected`, {
      details: { endpoint: router.address },
    });
  }
}

function streamOf(
  client: Client,
  { path, format, metadata }: { readonly path: string; readonly format: ChannelFormat; readonly metadata: Metadata },
) {
  return client.makeBidiStreamRequest(path, format.serialize, format.deserialize, metadata, {});
}

/** grpc-js takes an end, not a length, and reads the same clock. */
function callOptions(timeoutMs: number): CallOptions & { readonly deadline: number } {
  // biome-ignore lint/plugin: grpc-js keeps its own timers by this clock, and no simulation runs over gRPC
  return { deadline: Date.now() + timeoutMs };
}

function credentialsOf(tls: TlsTexts | undefined): ChannelCredentials {
  const { credentials } = grpcJs();
  if (tls === undefined) return credentials.createInsecure();
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text, 'utf8'));
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new HoldfastError('InvalidArgument', 'tls needs both cert and key, or neither');
  }
  try {
    return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new HoldfastError(
      'InvalidArgument',
      `the tls texts are not PEM, or the key is not the certificate's: ${why}`,
    );
  }
}

function checkedAddress(address: string): string {
  if (/^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):[0-9]{1,5}$/.test(address)) return address;
  throw new HoldfastError('InvalidArgument', `'${address}' is not an address: expected host:port`);
}

function pathOf(method: string): string {
  const known = Object.values(RouterService).find(({ path }) => path.endsWith(`/${method}`));
  if (known !== undefined) return known.path;
  throw new HoldfastError('InvalidArgument', `the router has no method '${method}'`);
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
