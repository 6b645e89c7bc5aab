import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { Transport } from '../../common/ports/channel.js';
import type { KeepAlive } from './keep-alive.js';

/** Of one request. */
export interface StreamLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Over gRPC there is more than a container has: deploys go up in pieces, logs come down in lines, files as they are. */
export interface ClientTransport extends Transport {
  /** The bytes at a worker that a call has answered a ticket for. @param address of the worker that answered */
  openBytes?(address: string, ticket: string): ByteStream;
  upload?(method: string, requests: Iterable<Uint8Array>, limits: StreamLimits): Promise<Uint8Array>;
  download?(
    method: string,
    request: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterable<Uint8Array>;
}

/** Sockets do not keep the process alive, and streams of calls are held by their calls: the rest is held here. */
export function keptAlive(transport: ClientTransport, keepAlive: KeepAlive): ClientTransport {
  const { openBytes, upload, download, objects } = transport;
  return {
    openRouter: () => transport.openRouter(),
    openWorker: (address) => transport.openWorker(address),
    unary: (method, request, options) => keepAlive.during(transport.unary(method, request, options)),
    close: () => transport.close(),
    ...(objects === undefined ? {} : { objects }),
    // Held by the call that answered the ticket.
    ...(openBytes === undefined ? {} : { openBytes: openBytes.bind(transport) }),
    ...(upload === undefined ? {} : { upload: (...args) => keepAlive.during(upload.apply(transport, args)) }),
    ...(download === undefined
      ? {}
      : { download: (...args) => heldWhileRead(download.apply(transport, args), keepAlive) }),
  };
}

async function* heldWhileRead<T>(values: AsyncIterable<T>, keepAlive: KeepAlive): AsyncGenerator<T, void, undefined> {
  keepAlive.enter();
  try {
    yield* values;
  } finally {
    keepAlive.leave();
  }
}
