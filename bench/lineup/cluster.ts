import type { TestCluster } from 'holdfast/testing';
import { Contender } from '../processes/contender.js';
import { descendantsOf, type Role, roleOf } from '../processes/process-tree.js';
import type { ClusterShape, ProductSpec } from './contenders.js';

/** A router, workers, their containers, NATS and Redis, each a process of its own; the benchmark's app is deployed. */
export class BenchCluster implements AsyncDisposable {
  readonly #cluster: TestCluster;
  readonly #servers: ReadonlyMap<number, Role>;

  private constructor(cluster: TestCluster, servers: ReadonlyMap<number, Role>) {
    this.#cluster = cluster;
    this.#servers = servers;
  }

  static async start(shape: ClusterShape, signal: AbortSignal): Promise<BenchCluster> {
    // The floors need nothing that was built.
    const { startCluster } = await import('holdfast/testing');
    // Clusters that stand beside each other are told apart by when they came.
    const before = new Set(descendantsOf(process.pid));
    const cluster = await startCluster({ mode: 'real', routers: 1, workers: shape.workers, signal });
    try {
      const started = descendantsOf(process.pid).filter((pid) => !before.has(pid));
      const servers = started.map((pid) => [pid, roleOf(pid)] as const);
      await cluster.deploy(new URL('../app.ts', import.meta.url));
      return new BenchCluster(cluster, new Map(servers.filter(([, role]) => role === 'nats' || role === 'redis')));
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  get redisUrl(): string {
    return this.#cluster.redisUrl ?? '';
  }

  get natsUrl(): string {
    return this.#cluster.natsUrl ?? '';
  }

  /** NATS and Redis. */
  get servers(): ReadonlyMap<number, Role> {
    return this.#servers;
  }

  /** Instances that its workers have. */
  async liveInstances(): Promise<number> {
    const workers = await this.#cluster.client.workers();
    return workers.reduce((sum, worker) => sum + worker.instances, 0);
  }

  /** Warm containers too: they are part of what a worker costs. */
  processes(): ReadonlyMap<number, Role> {
    const known = new Map(this.#servers);
    for (const { pid } of this.#cluster.routers) known.set(pid ?? 0, 'router');
    for (const { pid } of this.#cluster.workers) {
      known.set(pid ?? 0, 'worker');
      for (const below of descendantsOf(pid ?? 0)) known.set(below, roleOf(below));
    }
    return known;
  }

  async contender(
    spec: ProductSpec,
    { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
  ): Promise<Contender> {
    const contender = new Contender(spec, () => this.processes(), signal);
    own(contender);
    const { endpoint, token } = this.#cluster;
    const { className, instances } = spec;
    await contender.open({ kind: 'holdfast', endpoint, token, className, instances, prefix: spec.name });
    return contender;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cluster.close();
  }
}
