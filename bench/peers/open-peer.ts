import { tcpContainer } from '../lineup/contenders.js';
import { BenchProcess } from '../processes/child.js';
import { Contender } from '../processes/contender.js';
import type { StartedPeer } from './host-main.js';
import type { Peer } from './peers.js';

const startsWithinMs = 60_000;

/** A peer in processes of its own and a load generator, all handed to `own` before anything can fail. */
export async function openPeer(
  { name, title, module }: Peer,
  { own, signal }: { readonly own: (resource: AsyncDisposable) => void; readonly signal: AbortSignal },
): Promise<Contender> {
  const host = new BenchProcess('peers/host-main', [module]);
  own(host);
  const answer = await host.receive<{ started: StartedPeer } | { error: string }>({
    withinMs: startsWithinMs,
    signal,
  });
  if ('error' in answer) throw new Error(answer.error);
  const { address, processes } = answer.started;
  // HTTP on several connections promises nothing about the order of calls that are under way together.
  const plan = { name, title, floor: tcpContainer.name, payload: 'text', inFlight: 1, clients: 1 } as const;
  const contender = new Contender(plan, () => new Map(processes), signal);
  own(contender);
  await contender.open({ kind: 'peer', module, address });
  return contender;
}
