import { leaseTimes } from '../../../src/common/lease.js';
import { poolId } from '../app/ledger-app.js';
import type { SeededRandom } from '../engine/seeded-random.js';
import { type Hosts, wakeOrders, worker } from './make-faults.js';
import { granted } from './make-names.js';
import type { ClientPlan, Fault, InstanceRef, Plan, Step, WorkerPlan } from './plan.js';
import { callAt, killed, momentBefore, refsOf, stepAt, workersOf } from './plan-steps.js';

/** Faults and clients of their own that meet where chance alone hardly ever brings them together. */
export interface Scenario {
  readonly faults: readonly Fault[];
  readonly clients: readonly ClientPlan[];
  /** There are no other clients. */
  readonly isAlone?: boolean;
  /** What its workers are, beside what they are anyway. */
  readonly workers?: Partial<WorkerPlan>;
  /** The same of its code. */
  readonly code?: Partial<Plan['code']>;
}

export interface World {
  readonly hosts: Hosts;
  readonly instances: readonly InstanceRef[];
  readonly healAtMs: number;
  readonly leaseTtlMs: number;
}

const share = 0.5;
/** Of worlds with a scenario: nothing else fails. */
const undisturbed = 0.5;

/** Of the time that is waited after a lease: for clocks that differ in rate, and for the end itself. */
const killMs = 300;

/** What each worker has beside what it has anyway. */
export const moreContainers = 2;

/** Nobody calls it again once all is healed. */
export const aloneId = 'alone';

const scenarios = {
  'late-fence': lateFence,
  unwatched,
  forgotten,
  'first-calls': firstCalls,
  resets,
  moves,
  quick,
  alone,
  lenders,
  crashes,
} as const satisfies Readonly<Record<string, (random: SeededRandom, world: World) => Scenario>>;

/** Of the worlds without one of those, one after the other. By no chance of theirs: all else of a plan stays as it was. */
const others = [
  { name: 'granted', share: 0.2, make: granted },
  { name: 'parted', share: 0.15, make: parted },
  { name: 'replaced', share: 0.1, make: replaced },
] as const;

export type ScenarioName = keyof typeof scenarios | (typeof others)[number]['name'];

const weights: Readonly<Record<keyof typeof scenarios, number>> = {
  ...{ 'late-fence': 3, unwatched: 1, forgotten: 1, 'first-calls': 1, resets: 1, moves: 1.5, quick: 1.5, alone: 1 },
  ...{ lenders: 1.5, crashes: 1 },
};

/** Null: the world has none. */
export function makeScenario(
  random: SeededRandom,
  world: World,
): (Scenario & { readonly name: ScenarioName; readonly isUndisturbed: boolean }) | null {
  if (!random.chance(share)) {
    const other = others.find(({ share }) => random.chance(share));
    if (other === undefined) return null;
    return { name: other.name, isUndisturbed: random.chance(undisturbed), ...other.make(random, world) };
  }
  const name = random.weighted(weights);
  const isUndisturbed = random.chance(undisturbed);
  return { name, isUndisturbed, ...scenarios[name](random, world) };
}

/**
 * A worker that is alone, or without its store, and stands still with its watchdog just when both had to end what runs: it ends after its
 * lease, and has to be within the time that is waited after that (S8). Calls wait there meanwhile, of which each could begin when the one
 * before it has ended, and others for the end of the lease.
 */
function lateFence(random: SeededRandom, { hosts, instances, healAtMs, leaseTtlMs }: World): Scenario {
  const { fenceAfterMs, graceMs, renewEveryMs } = leaseTimes(leaseTtlMs);
  const target = worker(random, hosts);
  const atMs = momentBefore(random, healAtMs - leaseTtlMs - 5_000);
  // Its last renewal may have been as long ago. Nobody is asked to end in time what stands still for half of its fence time.
  const stopAtMs = Math.round(atMs + fenceAfterMs - random.between(0, renewEveryMs) - 50);
  const longestMs = Math.min(leaseTtlMs - fenceAfterMs + graceMs - killMs, fenceAfterMs / 2);
  const stopForMs = Math.round(random.between(leaseTtlMs - fenceAfterMs, longestMs));
  const order = random.chance(0.5) ? 'messages-first' : random.pick(wakeOrders);
  const queues = instances.map((instance) => [
    callAt(atMs - random.between(200, 2_000), instance, { workMs: random.between(1_000, 2_500) }, 12),
  ]);
  const waiting = instances.map((instance) => [callAt(atMs + leaseTtlMs - 2_500, instance, { method: 'put' })]);
  const lone = { atMs, forMs: leaseTtlMs + 4_000 };
  return {
    faults: [
      random.chance(0.6)
        ? { kind: 'isolate', target, ...lone }
        : { kind: 'cut', from: target, to: 'store', isOneWay: false, ...lone },
      { kind: 'stop', target, what: 'both', order, atMs: stopAtMs, forMs: stopForMs },
    ],
    clients: [{ lanes: queues }, { lanes: waiting }],
  };
}

/** A worker that has lost its watchdog stands still for longer than its lease: nobody else would end what runs there (S7). */
function unwatched(random: SeededRandom, { hosts, instances, healAtMs, leaseTtlMs }: World): Scenario {
  const target = worker(random, hosts);
  const atMs = momentBefore(random, healAtMs - leaseTtlMs - 10_000);
  const stopAtMs = atMs + Math.round(random.between(1_300, 3_000));
  const forMs = leaseTtlMs + Math.round(random.between(3_000, 7_000));
  const order = random.pick(wakeOrders);
  const before = instances.map((instance) => [callAt(atMs - 1_500, instance, {})]);
  const after = instances.map((instance) => [callAt(stopAtMs + leaseTtlMs + 1_800, instance, {})]);
  return {
    faults: [
      { kind: 'kill', target, what: 'watchdog', atMs, forMs: 1 },
      { kind: 'stop', target, what: 'process', order, atMs: stopAtMs, forMs },
    ],
    clients: [{ lanes: before }, { lanes: after }],
  };
}

/** Instances whose pins another server of the store has not heard of, and others who ask for them, at once and later (S10). */
function forgotten(random: SeededRandom, { healAtMs, leaseTtlMs }: World): Scenario {
  const [lagMs, forMs] = [Math.round(random.between(500, 2_000)), Math.round(random.between(50, 2_500))];
  const atMs = momentBefore(random, healAtMs - leaseTtlMs - 8_000) + lagMs;
  const refs = refsOf('Serial', 'f', 4);
  const makers = refs.map((ref) => [callAt(atMs - random.between(0, lagMs), ref, { workMs: 500 })]);
  const askers = refs.flatMap((ref) => [
    [callAt(atMs + forMs + random.between(0, 1_500), ref, {})],
    [callAt(atMs + forMs + leaseTtlMs + random.between(1_500, 6_000), ref, {})],
  ]);
  return {
    faults: [{ kind: 'store-failover', lagMs, atMs, forMs }],
    clients: [{ lanes: makers }, { lanes: askers }],
  };
}

/** Another server of the store takes over, a worker is lost, and nobody wants anything of that server until that one's lease is over (S10). */
function replaced(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const calls = refsOf('Serial', 't', 6).map((ref) => [callAt(healAtMs - random.between(3_000, 5_000), ref, {})]);
  return {
    isAlone: true,
    faults: [
      { kind: 'store-failover', lagMs: 1, atMs: healAtMs - 700, forMs: Math.round(random.between(50, 200)) },
      { kind: 'kill', target: worker(random, hosts), what: 'both', atMs: healAtMs - 300, forMs: 60_000 },
    ],
    clients: [{ lanes: calls }],
  };
}

/** The first calls of a link, of which nothing is acknowledged yet: their client stands still, or their workers are started again (C7). */
function firstCalls(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 20_000);
  const lanes = refsOf('Serial', 'x', 3).map((ref) => [
    callAt(atMs, ref, { method: 'append', workMs: random.between(9_000, 14_000), timeoutMs: 40_000 }),
  ]);
  const target = `c${hosts.clients}`;
  const order = random.pick(wakeOrders);
  const soonMs = atMs + Math.round(random.between(600, 3_000));
  const forMs = Math.round(random.between(13_500, 18_000));
  const faults: Fault[] = random.chance(0.5)
    ? [{ kind: 'stop', target, what: 'process', order, atMs: soonMs, forMs }]
    : workersOf(hosts).map((name) => killed(name, soonMs, random.between(50, 900)));
  return { faults, clients: [{ lanes }] };
}

/** Connections break again and again under quick calls: batches and answers that are under way are lost with them (C7). */
function resets(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 10_000);
  const lanes = refsOf('Quick', 'z', 2).map((ref) =>
    Array.from({ length: 50 }, (_, i) =>
      callAt(i === 0 ? atMs : random.between(20, 250), ref, { workMs: random.between(0, 2) }, random.integer(1, 4)),
    ),
  );
  const faults = Array.from({ length: 15 }, () => {
    const breaksAtMs = Math.round(atMs + random.between(300, 9_000));
    return workersOf(hosts).map(
      (to): Fault => ({ kind: 'reset', from: `c${hosts.clients}`, to, atMs: breaksAtMs, forMs: 1 }),
    );
  });
  return { faults: faults.flat(), clients: [{ lanes }] };
}

/** Workers drain under quick calls while what they tell a client arrives late: some of its calls have moved before it hears of others (C2). */
function moves(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 10_000) + 4_000;
  const burstMs = 600;
  const lanes = refsOf('Quick', 'm', 3).map((ref): Step[] => {
    const burst = callAt(2_500, ref, { workMs: random.between(0, 2) }, 44);
    const stall = { at: 3, workMs: burstMs + random.between(50, 600), isClosed: false };
    return [callAt(atMs - burstMs - 2_600, ref, { workMs: 0.5 }, 20), { ...burst, stall }];
  });
  const [, ...drained] = random.shuffled(workersOf(hosts));
  const forMs = Math.round(random.between(5_000, 8_000));
  const faults = drained.flatMap((target): Fault[] => [
    { kind: 'drain', target, atMs, forMs },
    {
      ...{ kind: 'slow', from: `c${hosts.clients}`, to: target, loss: 0 },
      ...{ factor: random.between(20, 150), atMs: atMs - 150, forMs },
    },
  ]);
  return { faults, clients: [{ lanes }] };
}

/** Quick calls without a pause, beside spawned ones that wait for their record, of an instance that is closed again and again (C1, C6). */
function quick(random: SeededRandom, { healAtMs }: World): Scenario {
  const [ref] = refsOf('Quick', 'q', 1) as [InstanceRef];
  const atMs = momentBefore(random, healAtMs - 8_000);
  const ticks = Array.from({ length: 3 }, () =>
    Array.from({ length: 40 }, (_, i) =>
      callAt(i === 0 ? atMs : random.between(0, 15), ref, { workMs: random.between(0.5, 1.8) }, 10),
    ),
  );
  const spawns = Array.from({ length: 8 }, (_, i) =>
    callAt(i === 0 ? atMs : random.between(50, 400), ref, { method: 'append', isSpawned: true }),
  );
  const closes = Array.from(
    { length: 10 },
    (_, i): Step => ({ ...stepAt(i === 0 ? atMs + 500 : random.between(100, 500), ref), kind: 'close', force: false }),
  );
  return { faults: [], clients: [{ lanes: [...ticks, spawns, closes] }] };
}

/** Spawned calls of an instance that nobody asks for again; all workers are lost under them (R4). */
function alone(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 8_000);
  const ref = { className: 'Serial', id: aloneId };
  const lanes = Array.from({ length: 4 }, () => [
    callAt(atMs, ref, { method: 'put', workMs: random.between(2_000, 8_000), isSpawned: true }),
  ]);
  const lostAtMs = Math.round(atMs + random.between(800, 3_000));
  const faults = workersOf(hosts).map((name) => killed(name, lostAtMs, random.between(300, 4_000)));
  return { faults, clients: [{ lanes }] };
}

/** Those who may lend to a pool stand still, and its worker is lost: what it had sent them before, they find after its lease (P7). */
function lenders(random: SeededRandom, { hosts, healAtMs, leaseTtlMs }: World): Scenario {
  const [borrower = '', ...others] = random.shuffled(workersOf(hosts));
  const atMs = momentBefore(random, healAtMs - leaseTtlMs - 9_000) + 3_000;
  const lostAtMs = atMs + Math.round(random.between(300, 1_500));
  const forMs = leaseTtlMs + Math.round(random.between(1_600, 3_000));
  const pool = { className: 'Crowd', id: poolId };
  const calls = Array.from({ length: 16 }, (_, i) => [
    callAt(atMs - 500 + i * 120, pool, { workMs: random.between(100, 400), timeoutMs: 20_000 }),
  ]);
  return {
    workers: { cpuCores: 1 },
    faults: [
      ...others.map((target): Fault => ({ ...stopped, target, atMs, forMs })),
      { kind: 'kill', target: borrower, what: 'both', atMs: lostAtMs, forMs: forMs + 4_000 },
    ],
    clients: [{ lanes: [[callAt(atMs - 3_000, pool, { workMs: 2_000 }, 6)], ...calls] }],
  };
}

const stopped = { kind: 'stop', what: 'both', order: 'messages-first' } as const;

/** A pool ends with nothing to do, while it and those who lend to it do not hear of each other; then it is called again (P1, P7). */
function parted(random: SeededRandom, { hosts, healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 12_000) + 4_000;
  const pool = { className: 'Crowd', id: poolId };
  const cutAtMs = Math.round(atMs + random.between(-400, 150));
  const forMs = Math.round(random.between(8_000, 25_000));
  const workers = workersOf(hosts);
  const cuts = workers.flatMap((from, i) =>
    workers.slice(i + 1).map((to): Fault => ({ kind: 'cut', from, to, isOneWay: false, atMs: cutAtMs, forMs })),
  );
  const calls = Array.from({ length: 12 }, () => [
    callAt(atMs - 4_000, pool, { workMs: random.between(600, 1_000) }, 2),
  ]);
  const ending: Step = { ...stepAt(atMs, pool), kind: 'close', force: random.chance(0.3) };
  const again = Array.from({ length: 30 }, (_, i) => [
    callAt(atMs + random.between(100, 900) + i * 700, pool, { workMs: random.between(50, 400), timeoutMs: 20_000 }),
  ]);
  return { workers: { cpuCores: 1 }, faults: cuts, clients: [{ lanes: [...calls, [ending], ...again] }] };
}

/** Containers of a pool end under spawned calls, of which it goes on with those that may run again, beside others that come later (P4). */
function crashes(random: SeededRandom, { healAtMs }: World): Scenario {
  const atMs = momentBefore(random, healAtMs - 8_000);
  const pool = { className: 'Crowd', id: poolId };
  const puts = Array.from({ length: 24 }, (_, i) => [
    callAt(atMs + i * 250, pool, { method: 'put', workMs: random.between(300, 900), isSpawned: true }),
  ]);
  const ticks = Array.from({ length: 50 }, (_, i) => [callAt(atMs + i * 160, pool, { timeoutMs: 20_000 })]);
  return { workers: { cpuCores: 4 }, code: { crashes: 0.06 }, faults: [], clients: [{ lanes: [...puts, ...ticks] }] };
}
