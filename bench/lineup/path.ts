import { BenchProcess } from '../processes/child.js';
import { Contender } from '../processes/contender.js';
import { descendantsOf, type Role } from '../processes/process-tree.js';
import type { BenchCluster } from './cluster.js';
import type { PathSpec } from './contenders.js';

const startsWithinMs = 60_000;

/** A worker with its container, on the Redis of that cluster; left to the kernel's choice of cores, as its own are. */
export async function openPath(
  spec: PathSpec,
  cluster: BenchCluster,
  { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
): Promise<Contender> {
  const worker = new BenchProcess('server-main', ['path-worker', cluster.redisUrl]);
  own(worker);
  const { port } = await worker.receive<{ port: number }>({ withinMs: startsWithinMs, signal });
  const containers = descendantsOf(worker.pid).map((pid) => [pid, 'container'] as const);
  const parts = new Map<number, Role>([...cluster.servers, [worker.pid, 'worker'], ...containers]);
  const contender = new Contender(spec, () => parts, signal);
  own(contender);
  await contender.open({ kind: 'path', ports: [port] });
  return contender;
}
