import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { deployModule } from '../../sdk/deploy/deploy-module.js';
import { Client, type Deployment } from '../../sdk/index.js';
import type { ClusterBackend } from './cluster-backend.js';
import { type ClusterPlan, checkWorkerSetting, type WorkerSetting } from './cluster-options.js';
import type { ClusterPart, ClusterProcess } from './cluster-process.js';

/** A cluster of this program's own, gone without a trace after `close`, and after the end of the program too. */
export interface TestCluster extends AsyncDisposable {
  readonly client: Client;
  /** Of all routers that it was started with (`HOLDFAST_ENDPOINT` of other processes). */
  readonly endpoint: string;
  readonly token: string;
  readonly natsUrl: string | null;
  readonly redisUrl: string | null;
  /** Those that run: one that was killed leaves the list. */
  readonly routers: readonly ClusterProcess[];
  /** Those that run, as `routers`. */
  readonly workers: readonly ClusterProcess[];
  /** Bundles and publishes the module's app. @param module a URL, or a path from the working folder */
  deploy(module: string | URL): Promise<Deployment>;
  /** Resolves when every router knows the worker. @throws InvalidArgument, Unavailable */
  addWorker(options?: {
    readonly id?: string;
    readonly offer?: Readonly<Record<string, unknown>>;
  }): Promise<ClusterProcess>;
  /** Stops every process and removes every file of the cluster. */
  close(): Promise<void>;
}

/** A router learns of a worker from its first heartbeat, about a second after its start. */
const seenWithinMs = 15_000;
const lookEveryMs = 50;

/** What `startCluster` returns, in the states before and after too. */
export class Cluster implements TestCluster {
  readonly #backend: ClusterBackend;
  readonly #abort: AbortController;
  /** In the order in which they were asked for; null while one starts. */
  readonly #routers = new Map<string, ClusterPart | null>();
  readonly #workers = new Map<string, ClusterPart | null>();
  /** Of each router alone, by its id. */
  readonly #clients = new Map<string, Client>();
  /** Of all of them: the one that users get. */
  #client: Client | null = null;
  readonly #starting = new Set<Promise<ClusterPart>>();
  #token = '';
  #endpoint = '';
  #workerCount = 0;
  #closing: Promise<void> | null = null;

  /** @param abort ends what the backend is starting */
  constructor(backend: ClusterBackend, abort: AbortController) {
    this.#backend = backend;
    this.#abort = abort;
  }

  /** Once. @throws what the first part that failed said, after all others have started or failed */
  async start(plan: ClusterPlan): Promise<void> {
    const routerIds = Array.from({ length: plan.routers }, (_, index) => `router-${index + 1}`);
    const startRouter = (id: string) => this.#add(this.#routers, id, this.#backend.startRouter(id));
    const routers = await every(routerIds.map(startRouter));
    this.#token = await this.#backend.createToken();
    this.#endpoint = routers.map(({ address }) => address).join(',');
    this.#client = new Client({ endpoint: this.#endpoint, token: this.#token });
    for (const { address, process } of routers)
      this.#clients.set(process.id, new Client({ endpoint: address, token: this.#token }));
    const settings = plan.workers.map((setting) => ({ ...setting, id: this.#workerId(setting) }));
    await every(settings.map((setting) => this.#startWorker(setting)));
    await this.#seen(settings.map((setting) => setting.id));
    if (plan.signal.aborted) {
      throw new HoldfastError('Cancelled', 'the start of the cluster was aborted', { cause: plan.signal.reason });
    }
  }

  get client(): Client {
    if (this.#client === null) throw new HoldfastError('Unavailable', 'the cluster has no router');
    return this.#client;
  }

  get endpoint(): string {
    return this.#endpoint;
  }

  get token(): string {
    return this.#token;
  }

  get natsUrl(): string | null {
    return this.#backend.natsUrl;
  }

  get redisUrl(): string | null {
    return this.#backend.redisUrl;
  }

  get routers(): readonly ClusterProcess[] {
    return running(this.#routers).map((part) => part.process);
  }

  get workers(): readonly ClusterProcess[] {
    return running(this.#workers).map((part) => part.process);
  }

  deploy(module: string | URL): Promise<Deployment> {
    return deployModule(module, { client: this.client });
  }

  async addWorker(options: WorkerSetting = {}): Promise<ClusterProcess> {
    checkWorkerSetting('addWorker', options);
    if (this.#closing !== null) throw new HoldfastError('Cancelled', 'no worker can be added: the cluster is closed');
    const id = this.#workerId(options);
    const part = await this.#startWorker({ ...options, id });
    await this.#seen([id]);
    return part.process;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#abort.abort(new HoldfastError('Cancelled', 'the cluster is closed'));
    // Each step whatever became of the one before; workers before routers and these before what both stand on.
    const steps = [
      () =>
        every(
          [...this.#clients.values(), ...(this.#client === null ? [] : [this.#client])].map((each) => each.close()),
        ),
      () => Promise.allSettled(this.#starting),
      () => every(running(this.#workers).map((worker) => worker.stop())),
      () => every(running(this.#routers).map((router) => router.stop())),
      () => this.#backend.close(),
    ];
    const failures: unknown[] = [];
    for (const step of steps) await step().catch((e) => failures.push(e));
    if (failures.length > 0) throw failures[0];
  }

  #startWorker(setting: WorkerSetting & { readonly id: string }): Promise<ClusterPart> {
    return this.#add(this.#workers, setting.id, this.#backend.startWorker(setting));
  }

  async #add(parts: Map<string, ClusterPart | null>, id: string, starting: Promise<ClusterPart>): Promise<ClusterPart> {
    parts.set(id, null);
    this.#starting.add(starting);
    try {
      const part = await starting;
      parts.set(id, part);
      void part.ended.then(() => parts.delete(id));
      return part;
    } catch (e) {
      parts.delete(id);
      throw e;
    } finally {
      this.#starting.delete(starting);
    }
  }

  #workerId(setting: WorkerSetting): string {
    this.#workerCount++;
    const id = setting.id ?? `worker-${this.#workerCount}`;
    if (!this.#workers.has(id)) return id;
    throw new HoldfastError('InvalidArgument', `a worker '${id}' runs in this cluster; choose another id or kill it`);
  }

  async #seen(ids: readonly string[]): Promise<void> {
    const deadline = systemClock.monotonic() + seenWithinMs;
    // One that was killed has nothing to say.
    for (const [id, client] of this.#clients) {
      if (!this.#routers.has(id)) continue;
      for (let missing = await unseen(client, ids); missing.length > 0; missing = await unseen(client, ids)) {
        if (systemClock.monotonic() > deadline) {
          const message = `no heartbeat of ${missing.join(', ')} reached a router within ${seenWithinMs} ms`;
          throw new HoldfastError('Unavailable', message);
        }
        await systemClock.sleep(lookEveryMs);
      }
    }
  }
}

function running(parts: ReadonlyMap<string, ClusterPart | null>): ClusterPart[] {
  return [...parts.values()].flatMap((part) => part ?? []);
}

async function unseen(client: Client, ids: readonly string[]): Promise<string[]> {
  const ready = (await client.workers()).filter((worker) => worker.state === 'ready').map((worker) => worker.id);
  return ids.filter((id) => !ready.includes(id));
}

/** As `Promise.all`, but leaves nothing running when one fails. */
async function every<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  const outcomes = await Promise.allSettled(promises);
  return outcomes.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  });
}
