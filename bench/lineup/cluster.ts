import type { TestCluster } from 'holdfast/testing';
import { Contender, type ContenderPlan } from '../processes/contender.js';
import { descendantsOf, type Role, roleOf } from '../processes/process-tree.js';

export type ProductName = 'holdfast' | 'holdfast-serial';

const products: Readonly<Record<ProductName, ContenderPlan & { readonly className: string }>> = {
  holdfast: { name: 'holdfast', title: 'Holdfast', payload: 'text', inFlight: 4, className: 'Echo' },
  'holdfast-serial': {
    ...{ name: 'holdfast-serial', title: 'Holdfast, one at a time', payload: 'text', inFlight: 4, className: 'Serial' },
  },
};

/** A cluster of processes, SDK apart: one router, one worker, its containers, NATS and Redis; the benchmark's app is deployed. */
export async function startBenchCluster(signal: AbortSignal): Promise<TestCluster> {
  // The floors need nothing that was built.
  const { startCluster } = await import('holdfast/testing');
  const cluster = await startCluster({ mode: 'real', routers: 1, workers: 1, signal });
  try {
    await cluster.deploy(new URL('../app.ts', import.meta.url));
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export async function openProduct(
  name: ProductName,
  {
    cluster,
    own,
    signal,
  }: {
    readonly cluster: TestCluster;
    readonly own: (resource: AsyncDisposable) => void;
    readonly signal: AbortSignal;
  },
): Promise<Contender> {
  const { className, ...plan } = products[name];
  const contender = new Contender(plan, () => clusterProcesses(cluster), signal);
  own(contender);
  await contender.open({ kind: 'holdfast', endpoint: cluster.endpoint, token: cluster.token, className });
  return contender;
}

/** Warm containers too: they are part of what a worker costs. */
function clusterProcesses(cluster: TestCluster): ReadonlyMap<number, Role> {
  const known = new Map<number, Role>();
  for (const pid of descendantsOf(process.pid)) {
    const role = roleOf(pid);
    if (role !== 'other') known.set(pid, role);
  }
  for (const { pid } of cluster.routers) known.set(pid ?? 0, 'router');
  for (const { pid } of cluster.workers) known.set(pid ?? 0, 'worker');
  return known;
}
