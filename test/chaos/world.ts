import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { App, Client, isHoldfastError } from 'holdfast';
import { freePort } from '../servers.js';
import { type BackingServers, startBackingServers } from './backing-servers.js';
import type { Window } from './checker.js';
import type { LedgerLine } from './fixtures/ledger-app.js';
import { Load } from './load.js';
import type { Proc } from './processes.js';
import { type Ground, Site } from './site.js';
import type { Link } from './tampers.js';

export const bin = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const appFile = fileURLToPath(new URL('./fixtures/ledger-app.ts', import.meta.url));
/** Whatever happens, and however slow the machine is, everything answers again in this time after the end of a fault. */
const answersWithinMs = 90_000;

export type ChaosApp = typeof import('./fixtures/ledger-app.js');

export interface Setup extends Ground {
  readonly routers?: number;
  readonly workers?: number;
  readonly leaseTtlMs?: number;
  readonly instances?: number;
  /** Two replicas of Redis, and three Sentinels. */
  readonly sentinel?: boolean;
  readonly natsNodes?: number;
  /** Of the processes of the workers. */
  readonly workerEnv?: Readonly<Record<string, string>>;
}

/** A cluster of real processes on this machine, with clients that call it all the time. */
export class World implements AsyncDisposable {
  static readonly #open = new Set<World>();
  readonly site: Site;
  readonly setup: Setup & { readonly leaseTtlMs: number };
  readonly routers: Proc[] = [];
  readonly workers: Proc[] = [];
  readonly clients: Client[] = [];
  readonly windows: Window[] = [];
  /** ms, of all lanes after each fault, shortest first. */
  readonly recoveries: number[] = [];
  servers!: BackingServers;
  load!: Load;
  /** What clients are told of each router. */
  readonly #endpoints: string[] = [];
  #token = '';

  static async start(setup: Setup): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-chaos-'));
    let world: World | null = null;
    try {
      world = new World(new Site(folder, setup), { leaseTtlMs: 6_000, ...setup });
      await world.#startAll();
      return world;
    } catch (error) {
      await world?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
      throw error;
    }
  }

  /** A program that is told to end ends its worlds first: nobody else would end their processes. */
  static closeOnSignals(): void {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, async () => {
        await Promise.allSettled([...World.#open].map((world) => world[Symbol.asyncDispose]()));
        process.exit(130);
      });
    }
  }

  private constructor(site: Site, setup: World['setup']) {
    this.site = site;
    this.setup = setup;
    World.#open.add(this);
  }

  get ledgerFile(): string {
    return this.site.fileOf('ledger.jsonl');
  }

  async ledger(): Promise<LedgerLine[]> {
    const text = await readFile(this.ledgerFile, 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LedgerLine]));
  }

  /** The worker that has the most instances of the load. @throws where it has none: nothing would be shown */
  async victim(): Promise<{ readonly worker: Proc; readonly instances: number }> {
    const remote = await this.remote();
    const homes = await Promise.all(
      this.load.instances.map(async (id) => (await (await remote.Ledger.named(id)).inspect()).workerId),
    );
    const counts = this.workers.map(({ name }) => homes.filter((home) => home === name).length);
    const at = counts.indexOf(Math.max(...counts));
    const [worker, instances = 0] = [this.workers[at], counts[at]];
    if (worker === undefined || instances === 0) throw new Error('no worker has an instance of the load');
    return { worker, instances };
  }

  async remote(client: Client = this.clients[0] as Client) {
    return await App.lookup<ChaosApp>('chaos', { client });
  }

  newClient(): Client {
    const client = new Client({ endpoint: this.#endpoints.join(','), token: this.#token });
    this.clients.push(client);
    return client;
  }

  /** The instance is closed, through any router, and the client too. @throws where that cannot be done for long */
  async forget(client: Client, id: string): Promise<void> {
    this.clients.splice(this.clients.indexOf(client), 1);
    const until = performance.now() + answersWithinMs;
    try {
      for (let isClosed = false; !isClosed; ) {
        try {
          await (await this.remote(client)).Ledger.closeNamed(id);
          isClosed = true;
        } catch (error) {
          // A fault may end any request; a close can be asked for again.
          if (!isHoldfastError(error) || performance.now() > until) throw error;
          await delay(200);
        }
      }
    } finally {
      await client.close();
    }
  }

  /** Does something bad; resolves when everything answers again. */
  async fault(harm: () => Promise<void>): Promise<void> {
    const from = performance.now();
    try {
      await harm();
      await this.load.answered(performance.now(), answersWithinMs);
    } finally {
      // What has not come back by then is said by what was thrown.
      this.windows.push({ from, to: performance.now() });
    }
    this.recoveries.push(...this.load.recoveries(from));
  }

  /** The load goes on for a while. */
  async calm(ms = 2_000): Promise<void> {
    await delay(ms);
  }

  watchdogsOf(worker: Proc): Promise<number[]> {
    return childrenOf(worker.pid, /watchdog-main/);
  }

  /** kill -9 of a worker and its watchdog: nobody is left to release the lease. */
  async loseHost(worker: Proc): Promise<void> {
    const watchdogs = await this.watchdogsOf(worker);
    for (const pid of watchdogs) process.kill(pid, 'SIGSTOP');
    await worker.kill();
    for (const pid of watchdogs) process.kill(pid, 'SIGKILL');
  }

  async startWorker(): Promise<void> {
    const name = `worker${this.workers.length + 1}`;
    const args = ['--isolation', 'process', '--id', name, '--data', this.site.fileOf(`data-${name}`)];
    const containerEnv = { LEDGER_FILE: this.ledgerFile, ...this.site.clocks?.envOf(name) };
    for (const [key, value] of Object.entries(containerEnv)) args.push('--env', `${key}=${value}`);
    const env = this.setup.workerEnv ?? {};
    this.workers.push(await this.#startPart(name, { kind: 'worker', args, env }));
  }

  async startRouter(): Promise<void> {
    const name = `router${this.routers.length + 1}`;
    this.routers.push(await this.#startPart(name, { kind: 'router', args: [], env: {} }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    World.#open.delete(this);
    await this.load?.stop().catch(() => undefined); // whatever its lanes failed for was judged
    await Promise.all(this.clients.map((client) => client.close()));
    await this.site.close();
    await rm(this.site.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #startAll(): Promise<void> {
    const { sentinel = false, natsNodes = 1, routers = 2, workers = 2, instances = 16 } = this.setup;
    this.servers = await startBackingServers(this.site, { sentinel, natsNodes });
    for (let i = 0; i < routers; i++) await this.startRouter();
    for (let i = 0; i < workers; i++) await this.startWorker();
    await this.#deploy();
    const ids = Array.from({ length: instances }, (_, i) => `i${i}`);
    this.load = new Load([this.newClient(), this.newClient()], ids);
    const from = performance.now();
    await this.load.answered(from, answersWithinMs);
    this.windows.push({ from, to: performance.now() });
  }

  /** From this process's side of the network. */
  async #deploy(): Promise<void> {
    const env = { ...process.env, ...this.#stateEnv };
    const run = promisify(execFile);
    const create = ['token', 'create', '--role', 'deploy', '--redis', this.servers.redisUrl, '--json'];
    const made = await run(process.execPath, [bin, ...create], { env });
    this.#token = (JSON.parse(made.stdout) as { token: string }).token;
    const access = { HOLDFAST_ENDPOINT: this.#endpoints[0], HOLDFAST_TOKEN: this.#token };
    await run(process.execPath, [bin, 'deploy', appFile], { env: { ...env, ...access } });
  }

  get #stateEnv(): Record<string, string> {
    const { folder } = this.site;
    return { HOLDFAST_OBJECT_STORE: join(folder, 'objects'), XDG_STATE_HOME: folder, XDG_DATA_HOME: folder };
  }

  async #startPart(
    name: string,
    {
      kind,
      args,
      env,
    }: {
      readonly kind: 'router' | 'worker';
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    },
  ): Promise<Proc> {
    const { natsUrl, storeUrl } = this.servers;
    const listen = `${this.site.place(name)}:${await freePort()}`;
    const reached = await this.#through(`client-${kind}`, listen);
    if (kind === 'router') this.#endpoints.push(reached);
    const [nats, redis] = [
      await this.#urlThrough(`${kind}-nats`, natsUrl),
      await this.#urlThrough(`${kind}-redis`, storeUrl),
    ];
    const shared = ['--listen', listen, '--advertise', reached, '--lease-ttl', String(this.setup.leaseTtlMs)];
    return await this.site.start(name, {
      command: [process.execPath, bin, kind, ...shared, '--allow-plain', '--nats', nats, '--redis', redis, ...args],
      env: { ...this.#stateEnv, ...env },
      ready: /^(?=.*\.ready").*"address":"([^"]+)"/m,
    });
  }

  async #through(link: Link, target: string): Promise<string> {
    return (await this.site.tampers?.through(link, target)) ?? target;
  }

  /** Of a url that names one server. */
  async #urlThrough(link: Link, url: string): Promise<string> {
    const [scheme = '', target = ''] = url.split('://');
    return `${scheme}://${await this.#through(link, target)}`;
  }
}

/** Of that process, by their command line. */
async function childrenOf(pid: number, what: RegExp): Promise<number[]> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean);
  const lines = await Promise.all(children.map((child) => readFile(`/proc/${child}/cmdline`, 'utf8').catch(() => '')));
  return children.filter((_, i) => what.test(lines[i] ?? '')).map(Number);
}
