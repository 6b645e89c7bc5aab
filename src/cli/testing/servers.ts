import { accessSync, constants, mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { type Child, startChild } from './child.js';
import type { Reaper } from './reaper.js';

/** A nats-server or redis-server that answers. */
export interface Server {
  readonly url: string;
  readonly child: Child;
}

export interface ServerPlace {
  /** Made for this server alone. */
  readonly folder: string;
  readonly reaper: Reaper;
  readonly signal: AbortSignal;
}

const host = '127.0.0.1';
const answerWithinMs = 5_000;
/** redis-server cannot choose a free port itself, and one that was free may be taken a moment later. */
const portAttempts = 5;

/** On a port that it chooses itself. @throws Unavailable, Cancelled */
export async function startNatsServer(place: ServerPlace): Promise<Server> {
  mkdirSync(place.folder, { recursive: true });
  const { child, ready: port } = await startChild({
    name: 'nats-server',
    kind: 'server',
    program: findProgram('nats-server'),
    args: ['--addr', host, '--port', '-1'],
    env: { PATH: process.env.PATH },
    readyFrom: (line) => /client connections on .*:(\d+)$/.exec(line.trim())?.[1] ?? null,
    reaper: place.reaper,
    signal: place.signal,
  });
  return answering({ url: `nats://${host}:${port}`, child }, { port: Number(port), say: '', hear: 'INFO' });
}

/** With the settings of the operations guide, as far as one server can have them. @throws Unavailable, Cancelled */
export async function startRedisServer(place: ServerPlace): Promise<Server> {
  mkdirSync(place.folder, { recursive: true });
  const program = findProgram('redis-server');
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      const { child } = await startChild({
        name: 'redis-server',
        kind: 'server',
        program,
        args: redisArgs(port, place.folder),
        env: { PATH: process.env.PATH },
        readyFrom: (line) => (line.includes('Ready to accept connections') ? true : null),
        reaper: place.reaper,
        signal: place.signal,
      });
      return await answering({ url: `redis://${host}:${port}`, child }, { port, say: 'PING\r\n', hear: '+PONG' });
    } catch (e) {
      if (attempt === portAttempts || !String(e).includes('Address already in use')) throw e;
    }
  }
}

function redisArgs(port: number, folder: string): string[] {
  return [
    ...['--bind', host, '--port', String(port), '--dir', folder],
    ...['--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction'],
  ];
}

/** Debian puts servers in /usr/sbin, which is not on every user's PATH. @throws Unavailable saying how to install it */
export function findProgram(name: string): string {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin'];
  const found = folders.map((folder) => join(folder, name)).find(isExecutable);
  if (found !== undefined) return found;
  throw new HoldfastError(
    'Unavailable',
    `${name} is not installed, or not on the PATH; install it with \`apt-get install ${name}\`, or start the cluster with mode 'embedded'`,
    { details: { program: name }, retryable: false },
  );
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // not there, or not for us: look on
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, host, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** The server itself, once it has answered on its port. */
async function answering(
  server: Server,
  expectation: { readonly port: number; readonly say: string; readonly hear: string },
): Promise<Server> {
  const { port, say, hear } = expectation;
  const socket = connect({ host, port, timeout: answerWithinMs });
  try {
    await new Promise<void>((resolve, reject) => {
      const refuse = (why: string): void =>
        reject(new HoldfastError('Unavailable', `${server.url} does not answer with ${hear}: ${why}`));
      socket.once('error', (e) => refuse(e.message));
      socket.once('timeout', () => refuse(`nothing within ${answerWithinMs} ms`));
      socket.once('close', () => refuse('it closed the connection'));
      socket.once('data', (data) => (String(data).startsWith(hear) ? resolve() : refuse(`it said ${data}`)));
      socket.write(say);
    });
    return server;
  } catch (e) {
    await server.child.stop(0);
    throw e;
  } finally {
    socket.destroy();
  }
}
