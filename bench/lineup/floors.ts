import { BenchProcess } from '../processes/child.js';
import { Contender } from '../processes/contender.js';
import { allCores, pin } from '../processes/cores.js';
import type { FloorSpec } from './contenders.js';

const startsWithinMs = 60_000;
/** More at once would only wait for each other. */
const startedAtOnce = 8;

/** Servers and a load generator, all handed to `own` before anything can fail. */
export async function openFloor(
  spec: FloorSpec,
  { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
): Promise<Contender> {
  const servers: BenchProcess[] = [];
  const ports: number[] = [];
  while (servers.length < spec.servers) {
    const count = Math.min(startedAtOnce, spec.servers - servers.length);
    const starting = Array.from({ length: count }, () => new BenchProcess('server-main', [spec.server]));
    for (const server of starting) own(server);
    servers.push(...starting);
    const ready = starting.map((server) => server.receive<{ port: number }>({ withinMs: startsWithinMs, signal }));
    for (const { port } of await Promise.all(ready)) ports.push(port);
  }
  const parts = new Map(servers.map(({ pid }) => [pid, 'server'] as const));
  const contender = new Contender(spec, () => parts, signal);
  own(contender);
  await contender.open({ kind: spec.server, ports });
  separate(contender);
  return contender;
}

/**
 * Client and servers on cores of their own, as if on hosts of their own. Else it is chance: two processes that talk in turns
 * may share a core, where a call takes a fourth of the time but nothing can run beside it.
 */
function separate(contender: Contender): void {
  const [first = 0, ...others] = allCores();
  if (others.length === 0) return;
  for (const [pid, role] of contender.processes) pin(pid, role === 'client' ? [first] : others);
}
