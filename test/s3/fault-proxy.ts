import { once } from 'node:events';
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What becomes of a request. `drop`: it never reaches the server; `late-drop`: it does, its answer is lost; `twice`: the server
 * gets it two times; `stall`: no answer; `cut` and `stall-midway`: half of the answer's body, then the connection breaks or
 * nothing; `trickle`: the body in many small pieces.
 */
export type S3Fault =
  | 'error-500'
  | 'slow-down'
  | 'drop'
  | 'late-drop'
  | 'twice'
  | 'stall'
  | 'cut'
  | 'stall-midway'
  | 'trickle'
  | 'other-etag';

export interface ProxiedRequest {
  readonly method: string;
  /** With its bucket. */
  readonly path: string;
  readonly query: URLSearchParams;
}

const pieceBytes = 16_384;

/** Between a client and a real S3 server; breaks where a test says so. */
export class S3FaultProxy implements AsyncDisposable {
  /** `METHOD path?query` of what came. */
  readonly seen: string[] = [];
  fault: (request: ProxiedRequest) => S3Fault | null | Promise<S3Fault | null> = () => null;
  readonly #target: URL;
  readonly #server = createServer((request, response) => {
    // A connection of the server that breaks is one that breaks for the client.
    this.#serve(request, response).catch(() => response.destroy());
  });

  static async start(target: string): Promise<S3FaultProxy> {
    const proxy = new S3FaultProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://host');
    const method = request.method ?? '';
    const body = await wholeOf(request);
    this.seen.push(`${method} ${url.pathname}${url.search}`);
    const fault = await this.fault({ method, path: url.pathname, query: url.searchParams });
    if (fault === 'stall') return;
    if (fault === 'drop') return void request.socket.destroy();
    if (fault === 'error-500') return fail(response, 500, 'InternalError');
    if (fault === 'slow-down') return fail(response, 503, 'SlowDown');
    if (fault === 'twice') await this.#send(request, body);
    const answer = await this.#send(request, body);
    if (fault === 'late-drop') return void request.socket.destroy();
    await reply(
      response,
      fault === 'other-etag' ? { ...answer, headers: { ...answer.headers, etag: '"0"' } } : answer,
      {
        fault,
        hasBody: method !== 'HEAD',
      },
    );
  }

  async #send({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    const { hostname, port } = this.#target;
    const sent = forward({ hostname, port, path: url, method, headers, agent: false });
    sent.end(body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 500, headers: answer.headers, body: await wholeOf(answer) };
  }
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

async function reply(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { fault, hasBody }: { readonly fault: S3Fault | null; readonly hasBody: boolean },
): Promise<void> {
  const { 'transfer-encoding': _chunked, connection: _hop, 'keep-alive': _too, ...rest } = headers;
  const half = body.subarray(0, Math.floor(body.length / 2));
  response.writeHead(status, hasBody ? { ...rest, 'content-length': body.length } : rest);
  if (!hasBody) return void response.end();
  switch (fault) {
    case 'cut':
      return void response.write(half, () => response.destroy());
    case 'stall-midway':
      return void response.write(half);
    case 'trickle':
      for (let at = 0; at < body.length; at += pieceBytes) {
        const isRoom = response.write(body.subarray(at, at + pieceBytes));
        if (!isRoom) await once(response, 'drain');
      }
      return void response.end();
    default:
      response.end(body);
  }
}

async function wholeOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function fail(response: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml' }).end(body);
}
