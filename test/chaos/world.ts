import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { App, Client } from 'holdfast';
import { freePort } from '../servers.js';
import type { Window } from './checker.js';
import type { LedgerLine } from './fixtures/ledger-app.js';
import { Hosts } from './hosts.js';
import { Load } from './load.js';
import { Proc } from './processes.js';

const bin = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const appFile = fileURLToPath(new URL('./fixtures/ledger-app.ts', import.meta.url));
/** Whatever happens, and however slow the machine is, everything answers again in this time after the end of a fault. */
const answersWithinMs = 90_000;

export type ChaosApp = typeof import('./fixtures/ledger-app.js');

export interface Setup {
  readonly routers?: number;
  readonly workers?: number;
  readonly leaseTtlMs?: number;
  readonly instances?: number;
  /** A replica of Redis and a Sentinel that decides alone. */
  readonly sentinel?: boolean;
  /** Network namespaces: 1 has the servers and the routers, each worker one more. */
  readonly hosts?: boolean;
  /** Of the processes of the workers. */
  readonly workerEnv?: Readonly<Record<string, string>>;
}

/** A cluster of real processes on this machine, with clients that call it all the time. */
export class World implements AsyncDisposable {
  readonly folder: string;
  readonly setup: Required<Omit<Setup, 'hosts' | 'workerEnv'>> & Pick<Setup, 'workerEnv'>;
  readonly hosts: Hosts | null;
  readonly procs: Proc[] = [];
  readonly routers: Proc[] = [];
  readonly workers: Proc[] = [];
  readonly clients: Client[] = [];
  readonly windows: Window[] = [];
  /** ms, of all lanes after each fault, shortest first. */
  readonly recoveries: number[] = [];
  redis!: Proc;
  redisFolder = '';
  redisUrl = '';
  replica: Proc | null = null;
  nats!: Proc;
  load!: Load;
  #env: NodeJS.ProcessEnv = process.env;
  #token = '';

  static async start(setup: Setup): Promise<World> {
    const { hosts: wantsHosts = false, ...rest } = setup;
    const filled = { routers: 2, workers: 2, leaseTtlMs: 6_000, instances: 16, sentinel: false, ...rest };
    const hosts = wantsHosts ? new Hosts(1 + filled.workers) : null;
    const world = new World(await mkdtemp(join(tmpdir(), 'holdfast-chaos-')), { setup: filled, hosts });
    try {
      await world.#startAll();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(folder: string, { setup, hosts }: Pick<World, 'setup' | 'hosts'>) {
    this.folder = folder;
    this.setup = setup;
    this.hosts = hosts;
  }

  get ledgerFile(): string {
    return join(this.folder, 'ledger.jsonl');
  }

  async ledger(): Promise<LedgerLine[]> {
    const text = await readFile(this.ledgerFile, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LedgerLine]));
  }

  /** The worker that has the most instances of the load. @throws where it has none: nothing would be shown */
  async victim(): Promise<{ readonly worker: Proc; readonly host: number; readonly instances: number }> {
    const remote = await this.remote();
    const homes = await Promise.all(
      this.load.instances.map(async (id) => (await (await remote.Ledger.named(id)).inspect()).workerId),
    );
    const counts = this.workers.map((_, i) => homes.filter((home) => home === `w${i + 1}`).length);
    const at = counts.indexOf(Math.max(...counts));
    const [worker, instances = 0] = [this.workers[at], counts[at]];
    if (worker === undefined || instances === 0) throw new Error('no worker has an instance of the load');
    return { worker, host: at + 2, instances };
  }

  async remote(client: Client = this.clients[0] as Client) {
    return await App.lookup<ChaosApp>('chaos', { client });
  }

  newClient(): Client {
    const endpoint = this.routers.map(({ match }) => match[1]).join(',');
    const client = new Client({ endpoint, token: this.#token });
    this.clients.push(client);
    return client;
  }

  /** The instance is closed, through any router, and the client too. */
  async forget(client: Client, id: string): Promise<void> {
    this.clients.splice(this.clients.indexOf(client), 1);
    try {
      await (await this.remote(client)).Ledger.closeNamed(id);
    } finally {
      await client.close();
    }
  }

  /** Does something bad; resolves when everything answers again. */
  async fault(harm: () => Promise<void>): Promise<void> {
    const from = performance.now();
    await harm();
    await this.load.answered(performance.now(), answersWithinMs);
    this.windows.push({ from, to: performance.now() });
    this.recoveries.push(...this.load.recoveries(from));
  }

  /** The load goes on for a while. */
  async calm(ms = 2_000): Promise<void> {
    await delay(ms);
  }

  watchdogsOf(worker: Proc): Promise<number[]> {
    return childrenOf(worker.pid, /watchdog-main/);
  }

  startWorker(): Promise<Proc> {
    const number = this.workers.length + 1;
    const host = 1 + number;
    const args = ['--isolation', 'process', '--id', `w${number}`, '--env', `LEDGER_FILE=${this.ledgerFile}`];
    const data = join(this.folder, `data-${number}`);
    return this.#cli('worker', { args: [...args, '--data', data], host, env: this.setup.workerEnv ?? {} });
  }

  startRouter(): Promise<Proc> {
    return this.#cli('router', { args: [], host: 1, env: {} });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load?.stop().catch(() => undefined); // whatever its lanes failed for was judged
    await Promise.all(this.clients.map((client) => client.close()));
    await Promise.all(this.procs.toReversed().map((proc) => proc.kill()));
    this.hosts?.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #startAll(): Promise<void> {
    await this.#startServers();
    for (let i = 0; i < this.setup.routers; i++) this.routers.push(await this.startRouter());
    for (let i = 0; i < this.setup.workers; i++) this.workers.push(await this.startWorker());
    await this.#deploy();
    const ids = Array.from({ length: this.setup.instances }, (_, i) => `i${i}`);
    this.load = new Load([this.newClient(), this.newClient()], ids);
    const from = performance.now();
    await this.load.answered(from, answersWithinMs);
    this.windows.push({ from, to: performance.now() });
  }

  async #startServers(): Promise<void> {
    const ip = this.hosts?.address(1) ?? '127.0.0.1';
    const [port, natsPort] = [await freePort(), await freePort()];
    this.redisFolder = join(this.folder, 'redis');
    this.redis = await this.#redis('redis', { port, more: ['--appendonly', 'yes'] });
    this.redisUrl = `redis://${ip}:${port}`;
    let url = this.redisUrl;
    if (this.setup.sentinel) url = await this.#startSentinel(port);
    const nats = ['nats-server', '--addr', ip, '--port', String(natsPort)];
    this.nats = await this.#start('nats', { command: nats, host: 1, env: {}, ready: /Server is ready/ });
    this.#env = {
      ...process.env,
      HOLDFAST_NATS_URL: `nats://${ip}:${natsPort}`,
      HOLDFAST_REDIS_URL: url,
      HOLDFAST_OBJECT_STORE: join(this.folder, 'objects'),
      XDG_STATE_HOME: this.folder,
      XDG_DATA_HOME: this.folder,
    };
  }

  async #redis(
    name: string,
    { port, more }: { readonly port: number; readonly more: readonly string[] },
  ): Promise<Proc> {
    const ip = this.hosts?.address(1) ?? '127.0.0.1';
    const folder = join(this.folder, name);
    await mkdir(folder, { recursive: true });
    const settings = ['--port', String(port), '--bind', ip, '--protected-mode', 'no', '--dir', folder, '--save', ''];
    const command = ['redis-server', ...settings, ...more];
    return await this.#start(name, { command, host: 1, env: {}, ready: /Ready to accept connections/ });
  }

  async #startSentinel(masterPort: number): Promise<string> {
    const [port, replicaPort] = [await freePort(), await freePort()];
    this.replica = await this.#redis('replica', {
      port: replicaPort,
      more: ['--replicaof', '127.0.0.1', String(masterPort)],
    });
    const file = join(this.folder, 'sentinel.conf');
    const lines = [
      ...[`port ${port}`, 'bind 127.0.0.1', `dir ${this.folder}`, `sentinel monitor main 127.0.0.1 ${masterPort} 1`],
      ...['sentinel down-after-milliseconds main 1000', 'sentinel failover-timeout main 5000'],
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    const command = ['redis-server', file, '--sentinel'];
    await this.#start('sentinel', { command, host: 1, env: {}, ready: /\+slave/ });
    return `redis+sentinel://127.0.0.1:${port}/main`;
  }

  async #deploy(): Promise<void> {
    const { HOLDFAST_REDIS_URL: redis = '' } = this.#env;
    const create = [bin, 'token', 'create', '--role', 'deploy', '--redis', redis, '--json'];
    const command = this.hosts?.on(1, [process.execPath, ...create]) ?? [process.execPath, ...create];
    const made = await promisify(execFile)(command[0] as string, command.slice(1), { env: this.#env });
    this.#token = (JSON.parse(made.stdout) as { token: string }).token;
    const access = { HOLDFAST_ENDPOINT: this.routers[0]?.match[1], HOLDFAST_TOKEN: this.#token };
    await promisify(execFile)(process.execPath, [bin, 'deploy', appFile], { env: { ...this.#env, ...access } });
  }

  async #cli(
    kind: 'router' | 'worker',
    {
      args,
      host,
      env,
    }: { readonly args: readonly string[]; readonly host: number; readonly env: Readonly<Record<string, string>> },
  ): Promise<Proc> {
    const listen = `${this.hosts?.address(host) ?? '127.0.0.1'}:${await freePort()}`;
    const shared = ['--listen', listen, '--lease-ttl', String(this.setup.leaseTtlMs), '--allow-plain'];
    return await this.#start(kind, {
      command: [process.execPath, bin, kind, ...shared, ...args],
      host,
      env,
      ready: /^(?=.*\.ready").*"address":"([^"]+)"/m,
    });
  }

  async #start(
    name: string,
    what: {
      readonly command: readonly string[];
      readonly host: number;
      readonly env: Readonly<Record<string, string>>;
      readonly ready: RegExp;
    },
  ): Promise<Proc> {
    const command = this.hosts?.on(what.host, what.command) ?? what.command;
    const proc = await Proc.start(name, { command, ready: what.ready, env: { ...this.#env, ...what.env } });
    this.procs.push(proc);
    return proc;
  }
}

/** Of that process, by their command line. */
async function childrenOf(pid: number, what: RegExp): Promise<number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean);
  const lines = await Promise.all(children.map((child) => readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')));
  return children.filter((_, i) => what.test(lines[i] ?? '')).map(Number);
}
