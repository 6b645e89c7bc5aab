import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { signedRequest } from '../../src/sdk/volumes/signed-request.js';

const body = Buffer.alloc(8_000_000, 'b');
let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  server?.close();
  if (server?.listening) await once(server, 'close');
});

/** Where it can be asked, with what nobody may read in an error. */
async function serve(listener: RequestListener): Promise<string> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/object?signature=needle`;
}

const put = (url: string, silentMs: number, signal = new AbortController().signal) =>
  signedRequest(url, { method: 'PUT', headers: { 'x-own': '1' }, body, signal, silentMs });
const get = (url: string, silentMs: number) =>
  signedRequest(url, { method: 'GET', headers: {}, signal: new AbortController().signal, silentMs });

test('what is sent arrives whole, and so does the answer', async () => {
  const url = await serve((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const isWhole = Buffer.concat(pieces).equals(request.method === 'PUT' ? body : Buffer.alloc(0));
      const isKnown = Number(request.headers['content-length'] ?? 0) === Buffer.concat(pieces).length;
      response
        .writeHead(isWhole && isKnown ? 201 : 400)
        .end(request.method === 'GET' ? body : request.headers['x-own']);
    });
  });
  const sent = await put(url, 60_000);
  expect([sent.status, Buffer.from(sent.body).toString()]).toEqual([201, '1']);
  const read = await get(url, 60_000);
  expect([read.status, body.equals(read.body)]).toEqual([201, true]);
});

test.each<[string, RequestListener]>([
  ['takes no byte', () => undefined],
  ['takes all and does not answer', (request) => void request.resume()],
  ['answers half', (request, response) => void request.resume().on('end', () => response.writeHead(200).write('half'))],
])('an object store that %s is given up, without a word of the url', async (_, listener) => {
  const url = await serve(listener);
  for (const ask of [put, get]) {
    const error = await ask(url, 100).catch((e: unknown) => e as Error);
    expect(error).toMatchObject({ code: 'Unavailable', retryable: true });
    expect(String(error)).toMatch(/127\.0\.0\.1:\d+ moved no byte of an object within 100 ms/);
    expect(String(error)).not.toContain('needle');
  }
});

test('who breaks off or is not there cannot be reached, and what is cancelled says why', async () => {
  const url = await serve((request) => void request.socket.destroy());
  await expect(put(url, 60_000)).rejects.toMatchObject({ message: expect.stringContaining('cannot be reached') });
  await expect(get('http://127.0.0.1:1/needle', 60_000)).rejects.toMatchObject({
    ...{ code: 'Unavailable', message: 'the object store at 127.0.0.1:1 cannot be reached from here' },
  });
  const ending = new AbortController();
  const stalled = await serve(() => ending.abort(new Error('given up')));
  await expect(put(stalled, 60_000, ending.signal)).rejects.toThrow('given up');
});
