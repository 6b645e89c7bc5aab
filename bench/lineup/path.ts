import { BenchProcess } from '../processes/child.js';
import { Contender } from '../processes/contender.js';
import { descendantsOf, type Role } from '../processes/process-tree.js';
import type { BenchCluster } from './cluster.js';
import type { PathSpec } from './contenders.js';

const startsWithinMs = 60_000;

/** A router, and a worker with its container, on the NATS and Redis of that cluster; left to the kernel's choice of cores, as its own are. */
export async function openPath(
  spec: PathSpec,
  cluster: BenchCluster,
  { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
): Promise<Contender> {
  const { redisUrl, natsUrl } = cluster;
  const ports: number[] = [];
  const start = async (name: string): Promise<number> => {
    const server = new BenchProcess('server-main', [name, redisUrl, natsUrl]);
    own(server);
    ports.push((await server.receive<{ port: number }>({ withinMs: startsWithinMs, signal })).port);
    return server.pid;
  };
  const router = await start('path-router');
  const worker = await start('path-worker');
  const containers = descendantsOf(worker).map((pid) => [pid, 'container'] as const);
  const parts = new Map<number, Role>([...cluster.servers, [router, 'router'], [worker, 'worker'], ...containers]);
  const contender = new Contender(spec, () => parts, signal);
  own(contender);
  await contender.open({ kind: 'path', ports });
  return contender;
}
