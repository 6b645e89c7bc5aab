import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { HoldfastError } from '../../common/errors.js';
import { cannotListen } from './cannot-listen.js';

/** What stands behind the paths of a health server. */
export interface HealthSources {
  /** Resolves when requests can be served now; rejects with why not. */
  readonly ready: () => Promise<void>;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
}

export interface HealthServer {
  /** `host:port` that it listens on. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * `/healthz` (the process answers), `/readyz` (503 with the reason where it cannot serve) and `/metrics`, for probes and
 * Prometheus: read only, without authentication.
 * @param listen `host:port`; port 0 takes a free one
 * @throws InvalidArgument, Unavailable where the address cannot be had
 */
export async function startHealthServer(listen: string, sources: HealthSources): Promise<HealthServer> {
  const { host, port } = splitHostPort(listen);
  const server = createServer((request, response) => void answer(sources, request, response));
  server.requestTimeout = 10_000;
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(cannotListen(listen, cause)));
    server.listen(port, host, resolve);
  });
  const bound = server.address();
  return {
    address: typeof bound === 'object' && bound !== null ? listen.replace(/\d+$/, String(bound.port)) : listen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(sources: HealthSources, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, type, body } = await bodyOf(sources, request).catch((error: unknown) => ({
    status: 503,
    type: 'text/plain',
    body: `${error instanceof Error ? error.message : String(error)}\n`,
  }));
  response.writeHead(status, { 'content-type': `${type}; charset=utf-8`, 'cache-control': 'no-store' }).end(body);
}

async function bodyOf(
  sources: HealthSources,
  request: IncomingMessage,
): Promise<{ status: number; type: string; body: string }> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, type: 'text/plain', body: 'only GET\n' };
  }
  switch (request.url?.split('?')[0]) {
    case '/healthz':
      return { status: 200, type: 'text/plain', body: 'ok\n' };
    case '/readyz':
      await sources.ready();
      return { status: 200, type: 'text/plain', body: 'ok\n' };
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4', body: await sources.metrics() };
    default:
      return { status: 404, type: 'text/plain', body: 'there are /healthz, /readyz and /metrics\n' };
  }
}

/** @throws InvalidArgument */
function splitHostPort(listen: string): { host: string; port: number } {
  const match = /^(?:\[(?<v6>[^\]]+)\]|(?<host>[^:]+)):(?<port>\d{1,5})$/.exec(listen);
  const host = match?.groups?.['v6'] ?? match?.groups?.['host'];
  const port = Number(match?.groups?.['port']);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new HoldfastError(
    'InvalidArgument',
    `cannot listen on ${JSON.stringify(listen)}: expected host:port, as in 127.0.0.1:9464`,
  );
}
