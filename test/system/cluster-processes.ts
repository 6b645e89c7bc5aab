import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'holdfast';
import { startNats, startRedis, type TestServer } from '../servers.js';

const bin = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A router or worker as an operator runs it, through the CLI. */
export interface CliProcess {
  readonly address: string;
  /** Of its log, so far. */
  readonly events: readonly string[];
  signal(signal: NodeJS.Signals): void;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** Servers, one router and one worker that a test may take away one by one. */
export interface ClusterProcesses extends AsyncDisposable {
  readonly redis: TestServer;
  readonly nats: TestServer;
  readonly router: CliProcess;
  readonly worker: CliProcess;
  readonly client: Client;
  readonly token: string;
  startRouter(listen: string): Promise<CliProcess>;
  startWorker(id: string): Promise<CliProcess>;
  deploy(module: URL): Promise<void>;
}

export interface ClusterProcessesOptions {
  readonly leaseTtlMs?: number;
  /** Default `process`. */
  readonly isolation?: 'process' | 'bubblewrap';
  /** Default: a folder. */
  readonly objectStore?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export async function startClusterProcesses(options: ClusterProcessesOptions = {}): Promise<ClusterProcesses> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-outage-'));
  const redis = await startRedis({ arguments: ['--appendonly', 'yes'] });
  const nats = await startNats();
  const children: CliProcess[] = [];
  const env = {
    ...process.env,
    ...options.env,
    HOLDFAST_NATS_URL: nats.url,
    HOLDFAST_REDIS_URL: redis.url,
    HOLDFAST_OBJECT_STORE: options.objectStore ?? join(folder, 'objects'),
    XDG_STATE_HOME: folder,
    XDG_DATA_HOME: folder,
  };
  const start = async (...args: string[]): Promise<CliProcess> => {
    const child = await startCli(args, env);
    children.push(child);
    return child;
  };
  const lease = options.leaseTtlMs === undefined ? [] : ['--lease-ttl', String(options.leaseTtlMs)];
  const startRouter = (listen: string) => start('router', '--listen', listen, ...lease);
  const startWorker = (id: string) =>
    start('worker', '--isolation', options.isolation ?? 'process', '--listen', '127.0.0.1:0', '--id', id, ...lease);
  const router = await startRouter('127.0.0.1:0');
  const worker = await startWorker('first');
  const made = await promisify(execFile)(
    process.execPath,
    [bin, 'token', 'create', '--role', 'deploy', '--redis', redis.url, '--json'],
    {
      env,
    },
  );
  const { token } = JSON.parse(made.stdout) as { token: string };
  const client = new Client({ endpoint: router.address, token });
  return {
    redis,
    nats,
    router,
    worker,
    client,
    token,
    startRouter,
    startWorker,
    deploy: async (module) => {
      const access = { HOLDFAST_ENDPOINT: router.address, HOLDFAST_TOKEN: token };
      await promisify(execFile)(process.execPath, [bin, 'deploy', fileURLToPath(module)], {
        env: { ...env, ...access },
      });
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await Promise.all(children.map((child) => child.kill()));
      await Promise.all([redis[Symbol.asyncDispose](), nats[Symbol.asyncDispose]()]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function startCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<CliProcess> {
  const child = spawn(process.execPath, [bin, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const events: string[] = [];
  const address = await readyAddress(child, args.join(' '), events);
  return {
    address,
    events,
    signal: (signal) => void child.kill(signal),
    kill: async (signal = 'SIGKILL') => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'exit');
      child.kill(signal);
      await closed;
    },
  };
}

async function readyAddress(child: ChildProcess, what: string, events: string[]): Promise<string> {
  const said: string[] = [];
  child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text));
  return new Promise((resolve, reject) => {
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      said.push(line);
      const { event, address } = line.startsWith('{')
        ? (JSON.parse(line) as { event?: string; address?: string })
        : ({} as { event?: undefined; address?: undefined });
      if (event !== undefined) events.push(event);
      if (event?.endsWith('.ready') && address !== undefined) resolve(address);
    });
    lines.on('close', () => reject(new Error(`holdfast ${what} did not become ready: ${said.join('\n')}`)));
  });
}
