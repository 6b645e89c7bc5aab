import { Cluster, type TestCluster } from './cluster.js';
import { type ClusterOptions, resolveClusterOptions } from './cluster-options.js';
import { openEmbeddedBackend } from './embedded-backend.js';
import { openRealBackend } from './real-backend.js';

/** @throws InvalidArgument, Cancelled, Unavailable: `real` without nats-server or redis-server names the program and how to install it */
export async function startCluster(options: ClusterOptions): Promise<TestCluster> {
  const abort = new AbortController();
  const wanted = resolveClusterOptions(options);
  const plan = { ...wanted, signal: AbortSignal.any([abort.signal, wanted.signal]) };
  const backend = await (plan.mode === 'embedded' ? openEmbeddedBackend(plan) : openRealBackend(plan));
  const cluster = new Cluster(backend, abort);
  try {
    await cluster.start(plan);
    return cluster;
  } catch (e) {
    await cluster.close();
    throw e;
  }
}
