import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import type { HoldfastError } from '../../src/common/errors.js';
import { resolveOci } from '../../src/sdk/images/oci/oci-image.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** What a registry that answers so makes of resolving an image. */
async function refusalOf(answer: Answer, version = ':1.0'): Promise<HoldfastError & { readonly host: string }> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    return Object.assign(await errorOf(`${host}/team/thing${version}`), { host });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function errorOf(reference: string, signal?: AbortSignal): Promise<HoldfastError> {
  return await resolveOci(reference, { folder: '/', signal }).then(
    () => Promise.reject(new Error('it was resolved')),
    (error: HoldfastError) => error,
  );
}

test('a registry that nobody answers at is named, with the image and what to look at', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  server.close();
  await once(server, 'close');
  const refused = await errorOf(`${host}/team/thing:1.0`);
  expect(refused).toMatchObject({ code: 'Unavailable', retryable: true });
  expect(refused.details).toMatchObject({ image: `${host}/team/thing:1.0`, registry: host });
  expect(refused.message).toContain('ECONNREFUSED');
  expect(refused.message).toContain(`look whether this machine reaches ${host}`);
  expect((await errorOf(`${host}/team/thing:1.0`, AbortSignal.abort())).code).toBe('Cancelled');
});

test.each([401, 403])('a registry that answers %i wants a login, which there is not', async (status) => {
  const refused = await refusalOf((_, response) => void response.writeHead(status).end());
  expect(refused).toMatchObject({ code: 'PermissionDenied', details: { registry: refused.host, status } });
  expect(refused.message).toContain(`image ${refused.host}/team/thing:1.0`);
  expect(refused.message).toContain('take an image that is public');
});

test('a registry whose challenge or token is none it can be answered with says which', async () => {
  const basic = await refusalOf((_, response) => void response.writeHead(401, { 'www-authenticate': 'Basic' }).end());
  expect(basic).toMatchObject({ code: 'PermissionDenied' });
  expect(basic.message).toContain('it wants a login');
  for (const token of ['{}', 'no json', '{"token":7}']) {
    const refused = await refusalOf(({ url = '', headers }, response) => {
      if (url.startsWith('/token')) return void response.end(token);
      const challenge = `Bearer realm="http://${headers.host}/token"`;
      return void response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    expect(refused.code).toBe('PermissionDenied');
    expect(refused.message).toContain(`a token of ${refused.host}: it sent none`);
  }
});

test('an image that a registry does not have, and a registry that is broken', async () => {
  const missing = await refusalOf((_, response) => void response.writeHead(404).end());
  expect(missing).toMatchObject({
    code: 'NotFound',
    details: { image: `${missing.host}/team/thing:1.0`, status: 404 },
  });
  expect(missing.message).toContain('look whether the name and the tag or digest are right');
  const broken = await refusalOf((_, response) => void response.writeHead(503).end());
  expect(broken).toMatchObject({ code: 'Unavailable', details: { status: 503 } });
});

test('an answer that breaks off, bytes of another hash, and what is too large', async () => {
  const cut = await refusalOf((_, response) => {
    response.writeHead(200, { 'content-length': '1000' });
    response.write('{"layers":');
    setImmediate(() => response.destroy());
  });
  expect(cut.code).toBe('Unavailable');
  expect(cut.message).toMatch(/its answer broke off after \d+ of 1000 bytes/);
  const digest = `sha256:${'a'.repeat(64)}`;
  const other = await refusalOf((_, response) => void response.end('{}'), `@${digest}`);
  expect(other).toMatchObject({ code: 'Unavailable', details: { expected: digest } });
  expect(other.message).toContain(`registry ${other.host} gave 2 bytes with sha256:`);
  expect(other.message).toContain(`expected ${digest}`);
  const large = await refusalOf((_, response) => void response.end(Buffer.alloc(4_194_305)));
  expect(large).toMatchObject({ code: 'PayloadTooLarge', details: { registry: large.host } });
});
