import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientWritableStream,
  connectivityState,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { HoldfastError } from '../common/errors.js';
import type { Channel, Transport } from '../common/ports/channel.js';
import { RouterService } from './gen/holdfast/v1/router.js';
import { WorkerService } from './gen/holdfast/v1/worker.js';
import { GrpcChannel } from './grpc-channel.js';
import { fromGrpcError } from './grpc-errors.js';
import { type ChannelFormat, encodedFormat, linkBatchFormat } from './grpc-messages.js';
import { clientOptions } from './grpc-options.js';
import { unreferenced } from './grpc-unreferenced.js';

export interface GrpcTransportOptions {
  /** `host:port` of a router. */
  readonly endpoint: string;
  /** Sent with every call as `authorization: Bearer`. */
  readonly token?: string | undefined;
  /** PEM texts; for routers and workers alike. Without it connections are plain. */
  readonly tls?: TlsTexts | undefined;
  /** Default true. False: idle or not, its connections let the process end; who waits for something holds it himself. */
  readonly keepsProcessAlive?: boolean | undefined;
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

/** What the router offers beside what `Transport` needs; messages encoded. */
export interface GrpcTransport extends Transport {
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

class RouterTransport implements GrpcTransport {
  readonly #endpoint: string;
  readonly #credentials: ChannelCredentials;
  readonly #metadata = new Metadata();
  readonly #router: Client;
  /** One per worker that has a channel open. */
  readonly #workers = new Map<string, Connection>();
  #isClosed = false;

  constructor({ endpoint, token, tls, keepsProcessAlive = true }: GrpcTransportOptions) {
    this.#endpoint = checkedAddress(endpoint);
    this.#credentials = keepsProcessAlive ? credentialsOf(tls) : unreferenced(credentialsOf(tls));
    if (token !== undefined) this.#metadata.set('authorization', `Bearer ${token}`);
    this.#router = new Client(this.#endpoint, this.#credentials, clientOptions);
  }

  openRouter(): Channel {
    this.#check();
    return this.#open(this.#router, RouterService.control.path, { format: encodedFormat, address: this.#endpoint });
  }

  openWorker(address: string): Channel {
    this.#check();
    const connection = this.#workerConnection(checkedAddress(address));
    connection.users += 1;
    return this.#open(connection.client, WorkerService.calls.path, {
      format: linkBatchFormat,
      address,
      released: () => {
        connection.users -= 1;
        if (connection.users > 0) return;
        if (this.#workers.get(address) === connection) this.#workers.delete(address);
        connection.client.close();
      },
    });
  }

  unary(method: string, request: Uint8Array, limits: RpcLimits): Promise<Uint8Array> {
    return this.#call(method, limits, (path, answer) => {
      const options = callOptions(limits.timeoutMs);
      return this.#router.makeUnaryRequest(path, toBuffer, same, request, this.#metadata, options, answer);
    });
  }

  async upload(
    method: string,
    requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    limits: RpcLimits,
  ): Promise<Uint8Array> {
    const source: { failure?: unknown } = {};
    const answer = this.#call(method, limits, (path, answered) => {
      const options = callOptions(limits.timeoutMs);
      const stream = this.#router.makeClientStreamRequest(path, toBuffer, same, this.#metadata, options, answered);
      void sendAll(stream, requests).catch((error: unknown) => {
        source.failure = error;
        stream.cancel();
      });
      return stream;
    });
    try {
      return await answer;
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
    signal?.throwIfAborted();
    const stream = this.#router.makeServerStreamRequest(pathOf(method), toBuffer, same, request, this.#metadata, {});
    const cancel = () => stream.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of stream) yield message as Buffer;
    } catch (error) {
      throw this.#failure(error, signal);
    } finally {
      signal?.removeEventListener('abort', cancel);
      stream.cancel();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { client } of this.#workers.values()) client.close();
    this.#workers.clear();
    this.#router.close();
  }

  #check(): void {
    if (this.#isClosed) throw new HoldfastError('Unavailable', `the client of ${this.#endpoint} is closed`);
  }

  #open(
    client: Client,
    path: string,
    to: { readonly format: ChannelFormat; readonly address: string; readonly released?: () => void },
  ): Channel {
    const { serialize, deserialize } = to.format;
    const stream = client.makeBidiStreamRequest(path, serialize, deserialize, this.#metadata, {});
    return new GrpcChannel({ side: 'client', stream }, to.address, to.released);
  }

  #workerConnection(address: string): Connection {
    const known = this.#workers.get(address);
    if (known !== undefined) return known;
    const connection = { client: new Client(address, this.#credentials, clientOptions), users: 0 };
    this.#workers.set(address, connection);
    return connection;
  }

  #call(
    method: string,
    { signal }: RpcLimits,
    start: (path: string, answer: (error: ServiceError | null, reply?: Buffer) => void) => { cancel(): void },
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#check();
      signal?.throwIfAborted();
      const cancel = () => call.cancel();
      const call = start(pathOf(method), (error, reply) => {
        signal?.removeEventListener('abort', cancel);
        if (error !== null || reply === undefined) reject(this.#failure(error, signal));
        else resolve(reply);
      });
      signal?.addEventListener('abort', cancel, { once: true });
    });
  }

  #failure(error: unknown, signal: AbortSignal | undefined): unknown {
    if (signal?.aborted) return signal.reason;
    const failure = fromGrpcError(error, this.#endpoint);
    if (
      failure.code !== 'DeadlineExceeded' ||
      this.#router.getChannel().getConnectivityState(false) === connectivityState.READY
    ) {
      return failure;
    }
    return new HoldfastError('Unavailable', `${this.#endpoint} did not answer in time: it is not connected`, {
      details: { endpoint: this.#endpoint },
    });
  }
}

/** grpc-js takes an end, not a length, and reads the same clock. */
function callOptions(timeoutMs: number): CallOptions {
  // biome-ignore lint/plugin: grpc-js keeps its own timers by this clock, and no simulation runs over gRPC
  return { deadline: Date.now() + timeoutMs };
}

function credentialsOf(tls: TlsTexts | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text, 'utf8'));
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new HoldfastError('InvalidArgument', 'tls needs both cert and key, or neither');
  }
  try {
    return credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert));
  } catch (error) {
    throw new HoldfastError('InvalidArgument', `the tls texts are not valid PEM: ${error}`);
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

/** Ends early where the call has: its answer says why. */
async function sendAll(
  stream: ClientWritableStream<Uint8Array>,
  requests: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  let isOver = false;
  let goOn = (): void => undefined;
  stream.on('drain', () => goOn());
  stream.on('status', () => {
    isOver = true;
    goOn();
  });
  for await (const request of requests) {
    if (isOver) return;
    if (stream.write(request)) continue;
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
  }
  stream.end();
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function same(bytes: Buffer): Buffer {
  return bytes;
}
