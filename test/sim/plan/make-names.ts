import type { SeededRandom } from '../engine/seeded-random.js';
import { wakeOrders, worker } from './make-faults.js';
import type { Scenario, World } from './make-scenario.js';
import type { Fault, InstanceRef, Step } from './plan.js';
import { callAt, killed, momentBefore, stepAt } from './plan-steps.js';

/** So many in a row that a router expects the next ones to be new. */
const ownNames = 10;
const sharedNames = 14;
const betweenMs = 120;
const className = 'Packed';

/**
 * Clients whose names are all new, so that workers make them by themselves (S13); then the same names are asked for by all of them
 * at once, while a worker, its store or what the store remembers is lost. Some are closed and made again.
 */
export function granted(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 16_000);
  const togetherAtMs = atMs + 3_000;
  const shared = Array.from({ length: sharedNames }, (_, i): InstanceRef => ({ className, id: `s${i}` }));
  const clients = Array.from({ length: random.integer(2, 3) }, (_, client) => {
    const own = Array.from({ length: ownNames }, (_, i): InstanceRef => ({ className, id: `o${client}-${i}` }));
    const ownLane = own.map((ref, i) => madeAt(random, ref, i === 0 ? atMs : random.skewed(5, 350)));
    const lanes = shared.map((ref, i) => {
      const first = madeAt(random, ref, togetherAtMs + i * betweenMs + random.skewed(1, 100));
      const ending: Step = { ...stepAt(random.skewed(5, 2_000), ref), kind: 'close', force: random.chance(0.3) };
      const again = madeAt(random, ref, random.skewed(5, 2_000));
      return random.chance(0.3) ? [first, ending, again] : [first, again];
    });
    return { lanes: [ownLane, ...lanes] };
  });
  const faultAtMs = Math.round(togetherAtMs + random.between(-500, 1_000));
  return { faults: faultAt(random, faultAtMs, worker(random, hosts)), clients };
}

function madeAt(random: SeededRandom, ref: InstanceRef, pauseMs: number): Step {
  const method = random.chance(0.5) ? 'append' : 'put';
  return callAt(pauseMs, ref, { method, workMs: random.between(0, 60) }, random.integer(0, 2));
}

function faultAt(random: SeededRandom, atMs: number, target: string): Fault[] {
  const trouble = { lostRequest: 0.1, lostReply: 0.3, slownessMs: random.skewed(1, 400) };
  const order = random.pick(wakeOrders);
  const faults = {
    killed: [killed(target, atMs, random.between(300, 6_000))],
    lost: [{ kind: 'kill', target, what: 'both', atMs, forMs: Math.round(random.between(500, 20_000)) }],
    troubled: [{ kind: 'store-trouble', ...trouble, atMs, forMs: 4_000 }],
    forgotten: [{ kind: 'store-failover', lagMs: Math.round(random.between(50, 1_500)), atMs, forMs: 1 }],
    late: [{ kind: 'slow', from: target, to: 'store', factor: random.between(20, 200), loss: 0, atMs, forMs: 3_000 }],
    cut: [{ kind: 'cut', from: target, to: 'store', isOneWay: random.chance(0.5), atMs, forMs: 3_000 }],
    stopped: [{ kind: 'stop', target, what: 'process', order, atMs, forMs: Math.round(random.between(1_000, 18_000)) }],
    none: [],
  } as const satisfies Readonly<Record<string, readonly Fault[]>>;
  const name = random.weighted({ killed: 1, lost: 1, troubled: 3, forgotten: 3, late: 4, cut: 2, stopped: 2, none: 1 });
  return [...faults[name]];
}
