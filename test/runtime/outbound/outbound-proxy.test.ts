import { once } from 'node:events';
import { request } from 'node:http';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, expect } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Outbound } from '../../../src/runtime/outbound/outbound-policy.js';
import { OutboundProxies, type OutboundProxy } from '../../../src/runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../../src/runtime/outbound/refused-addresses.js';
import { canIsolate, isolatedTest } from '../../isolated-test.js';
import { until } from '../until.js';
import { ports, startNeighbour } from './neighbour.js';

const neighbour = canIsolate ? await startNeighbour() : { address: '', own: '' };
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** What names stand for in these tests; a list of lists: another answer each time. */
const names: Record<string, string[][]> = {
  'api.example.org': [[neighbour.address]],
  'example.org': [[neighbour.address]],
  'other.test': [[neighbour.address]],
  'inside.test': [['127.0.0.1']],
  'mixed.test': [['127.0.0.1', neighbour.address]],
  'rebinding.test': [[neighbour.address], ['127.0.0.1']],
};
const lookups: string[] = [];

interface Way {
  readonly port: number;
  readonly proxy: OutboundProxy;
}

/** A proxy on a port, in place of the one that a guest agent listens on. */
async function open(
  outbound: Outbound,
  options: { infrastructure?: string[]; maxConnections?: number; idleMs?: number } = {},
): Promise<Way> {
  const { infrastructure = [], ...limits } = options;
  const proxies = new OutboundProxies({
    clock: systemClock,
    refused: new RefusedAddresses(systemClock, () => infrastructure),
    resolve: async (name) => {
      lookups.push(name);
      const answers = names[name];
      if (answers === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return (answers.length > 1 ? answers.shift() : answers[0]) as string[];
    },
    ...limits,
  });
  const proxy = proxies.open(outbound);
  const server = createServer({ allowHalfOpen: true }, (socket) => proxy.accept(socket)).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return { port: (server.address() as { port: number }).port, proxy };
}

/** CONNECT; resolves with the status, and the joined socket where it is 200. */
async function tunnel(way: Way, target: string): Promise<{ readonly status: number; readonly socket: Socket }> {
  const asked = request({ port: way.port, host: '127.0.0.1', method: 'CONNECT', path: target, agent: false }).end();
  const [answer, socket] = (await once(asked, 'connect')) as [{ statusCode: number }, Socket];
  return { status: answer.statusCode, socket };
}

async function status(way: Way, target: string): Promise<number> {
  const { status: code, socket } = await tunnel(way, target);
  socket.destroy();
  return code;
}

/** A request with an absolute URL. */
async function ask(
  way: Way,
  url: string,
  options: { method?: string; body?: string; host?: string } = {},
): Promise<{ status: number; body: string }> {
  const asked = request({
    port: way.port,
    host: '127.0.0.1',
    path: url,
    method: options.method ?? 'GET',
    agent: false,
    headers: { host: options.host ?? new URL(url).host, 'proxy-connection': 'keep-alive', 'x-mine': '1' },
  }).end(options.body);
  const [answer] = await once(asked, 'response');
  let body = '';
  for await (const piece of answer) body += piece;
  return { status: answer.statusCode, body };
}

/** SOCKS5 by name or address; the code of the reply, and the socket. */
async function socks(
  way: Way,
  host: string | readonly number[],
  port: number,
): Promise<{ code: number | undefined; socket: Socket }> {
  const socket = connect(way.port, '127.0.0.1');
  const target =
    typeof host === 'string' ? [3, host.length, ...Buffer.from(host)] : [host.length === 4 ? 1 : 4, ...host];
  // All at once, as eager clients do.
  socket.write(Buffer.from([5, 1, 0, 5, 1, 0, ...target, port >> 8, port & 255]));
  let heard = Buffer.alloc(0);
  const onData = (bytes: Buffer): void => {
    heard = Buffer.concat([heard, bytes]);
  };
  socket.on('data', onData);
  await until(() => heard.length >= 12 || socket.destroyed || socket.readableEnded);
  socket.off('data', onData);
  return { code: heard[3], socket };
}

isolatedTest(
  'bytes go both ways through CONNECT and SOCKS5, by name and by address, and each direction ends by itself',
  async () => {
    const way = await open('all');
    const ways = [
      (await tunnel(way, `api.example.org:${ports.echo}`)).socket,
      (await tunnel(way, `${neighbour.address}:${ports.echo}`)).socket,
      (await socks(way, 'api.example.org', ports.echo)).socket,
      (await socks(way, neighbour.address.split('.').map(Number), ports.echo)).socket,
    ];
    for (const socket of ways) {
      const sent = Buffer.alloc(3_000_000, 7);
      let received = 0;
      socket.on('data', (bytes: Buffer) => {
        received += bytes.length;
      });
      socket.end(sent);
      await once(socket, 'end');
      expect(received).toBe(sent.length);
    }
    await until(() => way.proxy.connections === 0);
  },
);

isolatedTest('a request with an absolute URL arrives as its server expects it, with the Host of the URL', async () => {
  const way = await open(['api.example.org']);
  const url = `http://api.example.org:${ports.http}/path?query=1`;
  const { status: code, body } = await ask(way, url, { method: 'POST', body: 'twelve bytes', host: 'other.test' });
  const seen = JSON.parse(body);
  expect([code, seen.method, seen.url, seen.bytes]).toEqual([200, 'POST', '/path?query=1', 12]);
  expect(seen.headers).toMatchObject({ host: `api.example.org:${ports.http}`, 'x-mine': '1', connection: 'close' });
  expect(seen.headers).not.toHaveProperty('proxy-connection');
});

isolatedTest('without a way out nothing is reached, and no name is looked up', async () => {
  const way = await open('none');
  lookups.length = 0;
  expect(await status(way, `api.example.org:${ports.echo}`)).toBe(403);
  expect((await ask(way, `http://api.example.org:${ports.http}/`)).status).toBe(403);
  expect((await socks(way, 'api.example.org', ports.echo)).code).toBe(2);
  expect(lookups).toEqual([]);
});

isolatedTest('a list allows its domains, those below where it says so, and its ranges', async () => {
  const way = await open(['*.example.org', 'other.test']);
  const to = (host: string): Promise<number> => status(way, `${host}:${ports.echo}`);
  expect(await Promise.all(['API.example.org', 'api.example.org.', 'other.test'].map(to))).toEqual([200, 200, 200]);
  const others = ['example.org', 'api.example.org.evil.test', 'evilexample.org', 'mixed.test', neighbour.address];
  expect(await Promise.all(others.map(to))).toEqual([403, 403, 403, 403, 403]);
  const ranged = await open([`${neighbour.own}/24`]);
  expect(await status(ranged, `api.example.org:${ports.echo}`)).toBe(200);
  expect(await status(ranged, `[::ffff:${neighbour.address}]:${ports.echo}`)).toBe(200);
});

isolatedTest('this host, its links and metadata are never reached, in whatever way they are written', async () => {
  const way = await open('all');
  const hosts = [
    ...['127.0.0.1', '127.9.9.9', 'localhost', '0.0.0.0', '169.254.169.254', neighbour.own, 'inside.test'],
    ...[
      '[::1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:a9fe:a9fe]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '[fe80::1]',
    ],
    ...['[::127.0.0.1]', '[fd00:ec2::254]', '100.100.100.200', '224.0.0.1', '255.255.255.255'],
  ];
  names['localhost'] = [['127.0.0.1', '::1']];
  const codes = await Promise.all(hosts.map(async (host) => [host, await status(way, `${host}:${way.port}`)]));
  expect(codes).toEqual(hosts.map((host) => [host, 403]));
  // Not addresses to everybody: a resolver of C libraries would take these for one.
  for (const host of ['2130706433', '0x7f000001', '127.1', '017700000001']) {
    expect([host, [403, 502].includes(await status(way, `${host}:${way.port}`))]).toEqual([host, true]);
  }
  expect((await socks(way, [127, 0, 0, 1], way.port)).code).toBe(2);
});

isolatedTest('infrastructure is never reached: by range, by address and by name', async () => {
  for (const infrastructure of [[`${neighbour.address}/32`], [neighbour.address], [`${neighbour.own}/24`]]) {
    const way = await open('all', { infrastructure });
    expect(await status(way, `api.example.org:${ports.echo}`)).toBe(403);
  }
});

isolatedTest('a name with a forbidden address beside another is connected to the other', async () => {
  const way = await open('all');
  const { status: code, socket } = await tunnel(way, `mixed.test:${ports.echo}`);
  expect(code).toBe(200);
  socket.destroy();
});

isolatedTest('a name that answers differently the second time is looked up once for each connection', async () => {
  const way = await open(['rebinding.test']);
  lookups.length = 0;
  expect(await status(way, `rebinding.test:${ports.echo}`)).toBe(200);
  expect(lookups).toEqual(['rebinding.test']);
  expect(await status(way, `rebinding.test:${ports.echo}`)).toBe(403);
});

isolatedTest('garbage, endless heads and other commands end their own connection only', async () => {
  const way = await open('all');
  const garbage = [
    Buffer.from('\0\x01\x02 nonsense\r\n\r\n'),
    Buffer.from(`GET /relative HTTP/1.1\r\nHost: x\r\n\r\n`),
    Buffer.from(`CONNECT nonsense HTTP/1.1\r\nHost: x\r\n\r\n`),
    Buffer.from(`GET http://x/ HTTP/1.1\r\n${'a: b\r\n'.repeat(50_000)}`),
    Buffer.from([5, 1, 2]),
    Buffer.from([5, 1, 0, 5, 2, 0, 1, 1, 2, 3, 4, 0, 80]),
    Buffer.from([5, 1, 0, 5, 1, 0, 9]),
    Buffer.from([5, 255]),
  ];
  for (const bytes of garbage) {
    const socket = connect(way.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.end(bytes);
    socket.resume();
    await once(socket, 'close');
  }
  expect(await status(way, `api.example.org:${ports.echo}`)).toBe(200);
  await until(() => way.proxy.connections === 0);
});

isolatedTest('a connection on which nothing happens ends', async () => {
  const way = await open('all', { idleMs: 100 });
  const { socket } = await tunnel(way, `api.example.org:${ports.echo}`);
  socket.resume();
  await once(socket, 'close');
});

isolatedTest('connections are bounded, and end with the sandbox', async () => {
  const way = await open('all', { maxConnections: 2 });
  const [first, second] = [
    await tunnel(way, `api.example.org:${ports.echo}`),
    await tunnel(way, `api.example.org:${ports.echo}`),
  ];
  const third = connect(way.port, '127.0.0.1');
  third.on('error', () => undefined);
  await once(third, 'close');
  const ended = [first, second].map(({ socket }) => {
    socket.on('error', () => undefined);
    socket.resume();
    return once(socket, 'close');
  });
  way.proxy.close();
  await Promise.all(ended);
  await until(() => way.proxy.connections === 0);
});
