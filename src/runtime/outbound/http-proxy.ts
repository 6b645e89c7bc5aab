import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { DialFailure, DialResult } from './outbound-dialer.js';
import { splice } from './splice.js';

/** What a connection of a sandbox may do. */
export interface HttpTunnel {
  /** Sockets that it gives destroy themselves when they are idle for too long. */
  dial(host: string, port: number): Promise<DialResult>;
}

const defaultHttpPort = 80;
const maxHeaderBytes = 32_768;
/** Headers that are between two neighbours, RFC 9110 §7.6.1, and those that name the proxy. */
const hopHeaders = new Set([
  ...['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection'],
  ...['te', 'trailer', 'transfer-encoding', 'upgrade'],
]);

/** HTTP's side of the proxy: CONNECT, and requests with an absolute URL. It listens nowhere; connections are handed to it. */
export class HttpProxy {
  readonly #server: Server;
  readonly #tunnels = new WeakMap<Duplex, HttpTunnel>();

  constructor() {
    this.#server = createServer({ maxHeaderSize: maxHeaderBytes, keepAlive: false });
    this.#server.on('connect', (message: IncomingMessage, client: Duplex, head: Buffer) => {
      void this.#connect({ message, client, head });
    });
    this.#server.on('request', (message: IncomingMessage, answer: ServerResponse) => {
      void this.#forward(message, answer);
    });
    this.#server.on('upgrade', (message: IncomingMessage, client: Duplex) => {
      client.end(
        `HTTP/1.1 501 Not Implemented\r\nConnection: close\r\n\r\nUse CONNECT for ${message.headers.upgrade}\n`,
      );
    });
    this.#server.on('clientError', (_error, client) => {
      if (client.writable) client.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      else client.destroy();
    });
  }

  accept(client: Duplex, tunnel: HttpTunnel): void {
    this.#tunnels.set(client, tunnel);
    this.#server.emit('connection', client);
  }

  async #connect(ask: {
    readonly message: IncomingMessage;
    readonly client: Duplex;
    readonly head: Buffer;
  }): Promise<void> {
    const { message, client, head } = ask;
    const tunnel = this.#tunnels.get(client);
    const target = parseAuthority(message.url ?? '');
    if (target === null || tunnel === undefined) {
      client.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
      return;
    }
    const dialed = await tunnel.dial(target.host, target.port);
    if ('failure' in dialed) {
      const [code, phrase] = statusOf(dialed.failure);
      client.end(
        `HTTP/1.1 ${code} ${phrase}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${said(dialed.failure)}`,
      );
      return;
    }
    client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    if (head.length > 0) dialed.socket.write(head);
    splice(client, dialed.socket);
  }

  async #forward(message: IncomingMessage, answer: ServerResponse): Promise<void> {
    const tunnel = this.#tunnels.get(message.socket);
    const url = parseTarget(message.url ?? '');
    if (tunnel === undefined || url === null)
      return finish(answer, 400, 'a request to a proxy names an absolute http URL\n');
    const dialed = await tunnel.dial(url.hostname, url.port === '' ? defaultHttpPort : Number(url.port));
    if ('failure' in dialed) return finish(answer, statusOf(dialed.failure)[0], said(dialed.failure));
    await relay(message, answer, { url, upstream: dialed.socket });
  }
}

/** The Host header is that of the URL: by another one, a server with many names would answer for a name that is not allowed. */
async function relay(
  message: IncomingMessage,
  answer: ServerResponse,
  { url, upstream }: { readonly url: URL; readonly upstream: Socket },
): Promise<void> {
  const asked = request({
    createConnection: () => upstream,
    method: message.method,
    path: `${url.pathname}${url.search}`,
    headers: { ...endToEnd(message.headers), host: url.host, connection: 'close' },
    setHost: false,
  });
  const hangUp = (): void => void asked.destroy();
  answer.on('close', hangUp);
  asked.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502, { ...endToEnd(response.headers), connection: 'close' });
    // Either side's end is the other's; there is nobody to tell.
    pipeline(response, answer).catch(hangUp);
  });
  asked.on('error', () => {
    if (answer.headersSent) answer.destroy();
    else finish(answer, 502, 'the server broke the connection\n');
  });
  await pipeline(message, asked).catch(() => undefined); // 'error' of the request tells
}

function endToEnd(headers: NodeJS.Dict<string | string[]>): NodeJS.Dict<string | string[]> {
  const named = new Set(
    String(headers['connection'] ?? '')
      .toLowerCase()
      .split(/\s*,\s*/),
  );
  const kept = Object.entries(headers).filter(([name]) => !hopHeaders.has(name) && !named.has(name));
  return Object.fromEntries(kept);
}

function finish(answer: ServerResponse, status: number, text: string): void {
  answer.writeHead(status, { 'content-type': 'text/plain', connection: 'close' }).end(text);
}

function statusOf({ why }: DialFailure): readonly [code: number, phrase: string] {
  if (why === 'refused') return [403, 'Forbidden'];
  return why === 'late' ? [504, 'Gateway Timeout'] : [502, 'Bad Gateway'];
}

function said({ message }: DialFailure): string {
  return `holdfast: ${message}\n`;
}

function parseAuthority(text: string): { readonly host: string; readonly port: number } | null {
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^:[\]/@]+):(\d{1,5})$/.exec(text) ?? [];
  return host === undefined ? null : { host, port: Number(port) };
}

function parseTarget(text: string): URL | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url?.protocol === 'http:' ? url : null;
}
