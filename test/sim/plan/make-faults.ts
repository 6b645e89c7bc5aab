import type { SeededRandom } from '../engine/seeded-random.js';
import type { WakeOrder } from '../engine/sim-process.js';
import type { Fault, FaultKind, KillTarget, StopTarget } from './plan.js';

/** How many there are of each. */
export interface Hosts {
  readonly routers: number;
  readonly workers: number;
  readonly clients: number;
}

/** Some worlds are calm, most see a few faults, some many. */
const counts = { none: 1, few: 6, many: 3 } as const;
export const firstFaultMs = 2_500;

const kinds = {
  kill: 6,
  stop: 6,
  'power-off': 1.5,
  cut: 5,
  isolate: 2,
  flap: 1,
  reset: 2,
  slow: 1,
  'store-down': 1.5,
  'store-trouble': 1.5,
  drain: 2,
  'clock-jump': 0.7,
} as const;

const upkeep = { share: 0.2, most: 4 } as const;
const failovers = { share: 0.2, most: 2, longestLagMs: 2_000 } as const;

/** What happens to the world of a seed, in the order of its times. */
export function makeFaults(random: SeededRandom, hosts: Hosts, healAtMs: number): Fault[] {
  const many = random.weighted(counts);
  const count = { none: 0, few: random.integer(1, 5), many: random.integer(6, 14) }[many];
  const faults = Array.from({ length: count }, (): Fault => {
    const atMs = Math.round(random.between(firstFaultMs, healAtMs));
    return { ...makeKind(random, hosts), atMs, forMs: Math.round(random.skewed(50, 45_000)) };
  });
  return faults.sort((a, b) => a.atMs - b.atMs);
}

/** Servers of the store that are replaced by one that lacks what was written last; a stream of its own keeps all other plans. */
export function makeFailovers(random: SeededRandom, healAtMs: number): Fault[] {
  const count = random.chance(failovers.share) ? random.integer(1, failovers.most) : 0;
  return Array.from({ length: count }, (): Fault => {
    const atMs = Math.round(random.between(firstFaultMs, healAtMs));
    const lagMs = Math.round(random.skewed(1, failovers.longestLagMs));
    return { kind: 'store-failover', lagMs, atMs, forMs: Math.round(random.skewed(50, 8_000)) };
  });
}

/** What operators do while all goes on: routers are closed in order, and other versions are deployed. */
export function makeUpkeep(random: SeededRandom, hosts: Hosts, healAtMs: number): Fault[] {
  const count = random.chance(upkeep.share) ? random.integer(1, upkeep.most) : 0;
  return Array.from({ length: count }, (): Fault => {
    const target = `r${random.integer(0, hosts.routers - 1)}`;
    const times = {
      atMs: Math.round(random.between(firstFaultMs, healAtMs)),
      forMs: Math.round(random.skewed(1_000, 8_000)),
    };
    if (random.chance(0.4)) return { kind: 'close', target, ...times };
    return { kind: 'redeploy', target, instances: random.chance(0.8) ? 'restart' : 'keep', ...times };
  });
}

/** What comes between workers of which one lends to the other: for longer than connections take to notice, mostly. */
export function makeLoanFaults(random: SeededRandom, hosts: Hosts, healAtMs: number): Fault[] {
  const count = random.chance(0.2) ? 0 : random.integer(1, 6);
  return Array.from({ length: count }, (): Fault => {
    const atMs = Math.round(random.between(firstFaultMs, healAtMs));
    const forMs = random.chance(0.7) ? random.between(3_000, 20_000) : random.skewed(50, 30_000);
    return { ...makeLoanFault(random, hosts), atMs, forMs: Math.round(forMs) };
  });
}

function makeLoanFault(random: SeededRandom, hosts: Hosts): FaultKind {
  const [a = '', b = ''] = random.shuffled(Array.from({ length: hosts.workers }, (_, i) => `w${i}`));
  const kind = random.weighted(loanKinds);
  switch (kind) {
    case 'cut':
      return { kind, from: a, to: b, isOneWay: random.chance(0.5) };
    case 'flap':
      return { kind, from: a, to: b, everyMs: Math.round(random.skewed(100, 4_000)) };
    case 'reset':
      return { kind, from: a, to: b };
    case 'slow':
      return { kind, from: a, to: b, factor: random.skewed(2, 200), loss: random.skewed(0.01, 0.5) };
    case 'kill':
      return { kind, target: a, what: random.weighted(killed) };
    case 'stop':
      return { kind, target: a, what: random.weighted(stopped), order: random.pick(wakeOrders) };
    case 'drain':
      return { kind, target: a };
    default:
      return kind satisfies never;
  }
}

const loanKinds = { cut: 4, flap: 1, reset: 2, slow: 1, kill: 2, stop: 3, drain: 2 } as const;
export const wakeOrders: readonly WakeOrder[] = ['timers-first', 'messages-first', 'as-it-came'];

function makeKind(random: SeededRandom, hosts: Hosts): FaultKind {
  const kind = random.weighted(kinds);
  switch (kind) {
    case 'kill': {
      const target = part(random, hosts);
      return { kind, target, what: target.startsWith('w') ? random.weighted(killed) : 'process' };
    }
    case 'stop': {
      const target = part(random, hosts);
      const order = random.pick(wakeOrders);
      return { kind, target, what: target.startsWith('w') ? random.weighted(stopped) : 'process', order };
    }
    case 'power-off':
    case 'drain':
      return { kind, target: worker(random, hosts) };
    case 'isolate':
      return { kind, target: part(random, hosts) };
    case 'cut':
      return { kind, ...link(random, hosts), isOneWay: random.chance(0.5) };
    case 'flap':
      return { kind, ...link(random, hosts), everyMs: Math.round(random.skewed(100, 4_000)) };
    case 'reset':
      return { kind, ...link(random, hosts) };
    case 'slow':
      return { kind, ...link(random, hosts), factor: random.skewed(2, 200), loss: random.skewed(0.01, 0.5) };
    case 'store-down':
      return { kind };
    case 'store-trouble': {
      const [lostRequest, lostReply] = [random.skewed(0.01, 0.7), random.skewed(0.01, 0.7)];
      return { kind, lostRequest, lostReply, slownessMs: random.skewed(1, 4_000) };
    }
    case 'clock-jump':
      return { kind, target: part(random, hosts), byMs: Math.round(random.between(-1_200_000, 1_200_000)) };
    default:
      return kind satisfies never;
  }
}

const killed: Readonly<Record<KillTarget, number>> = { process: 4, watchdog: 2, both: 1.5, container: 3 };
const stopped: Readonly<Record<StopTarget, number>> = { process: 5, watchdog: 2, both: 1, container: 1.5, all: 1.5 };

export function worker(random: SeededRandom, { workers }: Hosts): string {
  return `w${random.integer(0, workers - 1)}`;
}

function part(random: SeededRandom, hosts: Hosts): string {
  const kind = random.weighted({ router: 2, worker: 6, client: 1 });
  if (kind === 'router') return `r${random.integer(0, hosts.routers - 1)}`;
  return kind === 'worker' ? worker(random, hosts) : `c${random.integer(0, hosts.clients - 1)}`;
}

/** Between two parts, or between a part and a service. */
function link(random: SeededRandom, hosts: Hosts): { readonly from: string; readonly to: string } {
  const kind = random.weighted({ store: 4, bus: 2, peer: 5, objects: 0.3, outside: 0.5 });
  if (kind === 'peer') {
    const other = random.chance(0.5) ? `r${random.integer(0, hosts.routers - 1)}` : worker(random, hosts);
    const client = `c${random.integer(0, hosts.clients - 1)}`;
    return random.chance(0.5) ? { from: client, to: other } : { from: other, to: client };
  }
  const user = random.chance(0.7) ? worker(random, hosts) : `r${random.integer(0, hosts.routers - 1)}`;
  return random.chance(0.5) ? { from: user, to: kind } : { from: kind, to: user };
}
