import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';

/** A server in a process of its own, on a free port, with a private folder. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** What it has on disk. */
  readonly folder: string;
  /** Ends the process; its port and folder stay for `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
}

interface Program {
  readonly command: string;
  /** Of Debian. */
  readonly package: string;
  readonly scheme: string;
  /** What it prints once it accepts connections. */
  readonly ready: RegExp;
  arguments(port: number, folder: string): string[];
}

const running = new Set<ChildProcess>();
// A test run that ends early leaves no server behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A single Redis, empty, without persistence. */
export function startRedis(options: { readonly arguments?: readonly string[] } = {}): Promise<TestServer> {
  return startServer(redis(options.arguments ?? []));
}

export function startNats(options: { readonly arguments?: readonly string[] } = {}): Promise<TestServer> {
  return startServer({
    command: 'nats-server',
    package: 'nats-server',
    scheme: 'nats',
    ready: /Server is ready/,
    arguments: (port) => ['--addr', '127.0.0.1', '--port', String(port), ...(options.arguments ?? [])],
  });
}

/** An S3 server that keeps its objects in memory, with a bucket. It takes any credentials. */
export async function startS3(bucket = 'holdfast-test'): Promise<TestServer & { readonly bucket: string }> {
  const server = await startServer({
    command: process.execPath,
    package: 'fauxqs',
    scheme: 'http',
    ready: /listening/,
    // Its own command listens beyond loopback.
    arguments: (port) => [
      '--input-type=module',
      '--eval',
      `import { buildApp } from '${import.meta.resolve('fauxqs')}';
      await buildApp({ logger: false }).listen({ port: ${port}, host: '127.0.0.1' });
      console.log('listening');`,
    ],
  });
  const { ok, status } = await fetch(`${server.url}/${bucket}`, { method: 'PUT' });
  if (ok) return Object.assign(server, { bucket });
  await server[Symbol.asyncDispose]();
  throw new Error(`the S3 server answered ${status} to the making of a bucket`);
}

/** A Sentinel that decides alone, and soon, that the master of this name is gone. */
export function startSentinel(masterName: string, masterPort: number): Promise<TestServer> {
  return startServer({
    command: 'redis-server',
    package: 'redis-server',
    scheme: 'redis+sentinel',
    ready: /\+monitor master/,
    arguments: (port, folder) => {
      // It writes what it learns into its configuration, so it needs a file.
      const file = join(folder, 'sentinel.conf');
      const lines = [
        `port ${port}`,
        'bind 127.0.0.1',
        `dir ${folder}`,
        `sentinel monitor ${masterName} 127.0.0.1 ${masterPort} 1`,
        `sentinel down-after-milliseconds ${masterName} 500`,
        `sentinel failover-timeout ${masterName} 5000`,
      ];
      writeFileSync(file, `${lines.join('\n')}\n`);
      return [file, '--sentinel'];
    },
  });
}

/** Three masters without replicas, all slots covered. */
export async function startRedisCluster(): Promise<
  AsyncDisposable & { readonly url: string; readonly nodes: readonly TestServer[] }
> {
  const started = await Promise.all([startClusterNode(), startClusterNode(), startClusterNode()]);
  const nodes = started.map(({ node }) => node);
  const dispose = async (): Promise<void> => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
  };
  try {
    await joinNodes(
      nodes,
      started.map(({ busPort }) => busPort),
    );
  } catch (error) {
    await dispose();
    throw error;
  }
  const hosts = nodes.map((node) => `127.0.0.1:${node.port}`).join(',');
  return { url: `redis+cluster://${hosts}`, nodes, [Symbol.asyncDispose]: dispose };
}

/** Somebody may take the second port, too, before it is used. */
async function startClusterNode(): Promise<{ readonly node: TestServer; readonly busPort: number }> {
  for (let attempt = 1; ; attempt++) {
    const busPort = await freePort();
    const cluster = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--cluster-node-timeout', '2000'];
    try {
      return { node: await startServer(redis(cluster)), busPort };
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function redis(more: readonly string[]): Program {
  return {
    command: 'redis-server',
    package: 'redis-server',
    scheme: 'redis',
    ready: /Ready to accept connections/,
    arguments: (port, folder) => [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'no'],
      ...more,
    ],
  };
}

async function startServer(program: Program): Promise<TestServer> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-server-'));
  const { port, child: first } = await startOnFreePort(program, folder);
  let child = first;
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    url: `${program.scheme}://127.0.0.1:${port}`,
    port,
    folder,
    get pid() {
      return child.pid ?? 0;
    },
    stop,
    start: async () => {
      await stop();
      child = await startProcess(program, port, folder);
    },
    signal: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      await stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Between finding a port and using it, another process may take it. */
async function startOnFreePort(program: Program, folder: string): Promise<{ port: number; child: ChildProcess }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    try {
      return { port, child: await startProcess(program, port, folder) };
    } catch (error) {
      if (attempt === 3) {
        await rm(folder, { recursive: true, force: true });
        throw error;
      }
    }
  }
}

function startProcess(program: Program, port: number, folder: string): Promise<ChildProcess> {
  // Debian puts servers in /usr/sbin, which is not on every user's PATH.
  const PATH = [process.env.PATH ?? '', '/usr/local/sbin', '/usr/sbin'].join(delimiter);
  const child = spawn(program.command, program.arguments(port, folder), { env: { ...process.env, PATH } });
  running.add(child);
  return new Promise((resolve, reject) => {
    let output = '';
    const read = (text: Buffer): void => {
      if (program.ready.test(output)) return;
      output += text.toString();
      if (program.ready.test(output)) resolve(child);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', (error: NodeJS.ErrnoException) => {
      running.delete(child);
      const isMissing = error.code === 'ENOENT';
      reject(isMissing ? new Error(`${program.command} is missing: install the package ${program.package}`) : error);
    });
    child.once('exit', (code) => {
      running.delete(child);
      reject(new Error(`${program.command} on port ${port} ended with ${code}: ${output}`));
    });
  });
}

async function joinNodes(nodes: readonly TestServer[], busPorts: readonly number[]): Promise<void> {
  const clients = nodes.map((node) => new Redis(node.port, '127.0.0.1'));
  try {
    const share = Math.ceil(16_384 / nodes.length);
    for (const [i, client] of clients.entries()) {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      await client.call('CLUSTER', 'ADDSLOTSRANGE', i * share, Math.min((i + 1) * share, 16_384) - 1);
    }
    // Not before all have their epoch: a node that knows another one takes none.
    for (const [i, client] of clients.entries()) {
      for (const [j, node] of nodes.entries())
        if (j !== i) await client.call('CLUSTER', 'MEET', '127.0.0.1', node.port, busPorts[j] ?? 0);
    }
    for (const client of clients) await untilClusterIsUp(client, nodes.length);
  } finally {
    for (const client of clients) client.disconnect();
  }
}

/** Nodes tell nobody when they agree: ask until they do. */
async function untilClusterIsUp(client: Redis, size: number): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const info = String(await client.call('CLUSTER', 'INFO'));
    if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${size}`)) return;
    await delay(50);
  }
  throw new Error('the Redis nodes did not form a cluster within 20 s');
}
