import { poolId } from '../app/ledger-app.js';
import { SeededRandom } from '../engine/seeded-random.js';
import { makeFailovers, makeFaults, makeLoanFaults, makeUpkeep } from './make-faults.js';
import { makeScenario, moreContainers } from './make-scenario.js';
import type { CallPlan, CallStep, ClientPlan, InstanceRef, Plan, Step, WorkerPlan } from './plan.js';

const classes = { Serial: 4, Wide: 3, Quick: 3, Sleepy: 2, Fragile: 2 } as const;
const methods = { append: 8, put: 5, keep: 5, arm: 2, tick: 2, once: 2, look: 2, count: 1, relay: 1 } as const;
/** Of a pool. */
const poolMethods = { append: 8, put: 8, keep: 3, tick: 4, once: 2, look: 2, count: 1, arm: 0, relay: 0 } as const;
/** Of an instance whose calls are sent ahead as long as they are quick (ADR 9). */
const quickMethods = { ...methods, append: 2, put: 1, keep: 2, arm: 1, tick: 24, once: 1 } as const;
/** Of worlds that have a pool beside their instances. */
const poolShare = 0.3;
/** Of those, in which containers are mostly other workers'. */
const lendingShare = 0.7;
/** While faults happen; then everything is healed and must answer. */
const faultsForMs = { from: 20_000, to: 55_000 };
const stepsPerLane = { from: 6, to: 18 };
/** Names beside the instances, of a class whose containers have room: their pins are brought by who makes them (ADR 16). */
const newNames = { share: 0.12, count: 8, uncalled: 0.3 } as const;

/** The world of a seed. */
export function makePlan(seed: string): Plan {
  const random = new SeededRandom(`plan ${seed}`);
  const routers = random.integer(1, 3);
  const loans = random.fork('loans');
  const pools = random.fork('pools');
  const hasPool = pools.chance(poolShare);
  const isLending = hasPool && loans.chance(lendingShare);
  const workers = Array.from({ length: random.integer(2, 4) }, () => ({
    maxContainers: random.integer(4, 10),
    warmContainers: random.integer(0, 2),
    cpuCores: isLending ? loans.integer(1, 2) : 4,
  }));
  const instances = makeInstances(random);
  const healAtMs = Math.round(random.between(faultsForMs.from, faultsForMs.to));
  const clients = Array.from({ length: random.integer(1, 3) }, (_, number) =>
    makeClient(random.fork(`client ${number}`), instances, healAtMs),
  );
  const hosts = { routers, workers: workers.length, clients: clients.length };
  const leaseTtlMs = random.chance(0.3) ? 6_000 : 15_000;
  const chance = [
    ...makeFaults(random.fork('faults'), hosts, healAtMs),
    ...makeFailovers(random.fork('failovers'), healAtMs),
    ...(isLending ? makeLoanFaults(loans, hosts, healAtMs) : []),
    ...makeUpkeep(random.fork('upkeep'), hosts, healAtMs),
  ];
  const scenario = makeScenario(random.fork('scenario'), { hosts, instances, healAtMs, leaseTtlMs });
  const ordinary = hasPool
    ? clients.map(({ lanes }) => ({ lanes: [...lanes, makePoolLane(pools, healAtMs, isLending ? loans : null)] }))
    : clients;
  return {
    seed,
    routers,
    workers: scenario === null ? workers : workers.map((worker) => ({ ...withRoom(worker), ...scenario.workers })),
    // By no chance of theirs: all else of a plan stays as it was.
    clients: [...(scenario?.isAlone ? [] : ordinary), ...(scenario?.clients ?? [])],
    healAtMs,
    faults: [...(scenario?.isUndisturbed ? [] : chance), ...(scenario?.faults ?? [])],
    scenario: scenario?.name ?? null,
    leaseTtlMs,
    network: {
      baseMs: random.skewed(0.1, 20),
      jitterMs: random.skewed(0.1, 30),
      tailChance: random.chance(0.5) ? 0.01 : 0,
      tailMs: random.skewed(10, 2_000),
      localTailMs: random.chance(0.3) ? random.skewed(0.5, 20) : 0,
    },
    clockDrift: random.chance(0.5) ? 0.005 : 0,
    // S8 has time for one that stands still, or for a kill that takes long.
    slowKills: scenario?.name === 'late-fence' ? 0 : 0.05,
    busReorders: random.chance(0.3),
    store: random.chance(0.4)
      ? { lostRequest: random.skewed(0.001, 0.03), lostReply: random.skewed(0.001, 0.03) }
      : { lostRequest: 0, lostReply: 0 },
    code: {
      throws: random.chance(0.3) ? 0.2 : 0,
      hangs: random.chance(0.1) ? 0.1 : 0,
      failedStarts: random.chance(0.3) ? 0.05 : 0,
      crashes: random.chance(0.2) ? 0.01 : 0,
      ...scenario?.code,
    },
  };
}

/** For the instances of a scenario. */
function withRoom(worker: WorkerPlan): WorkerPlan {
  return { ...worker, maxContainers: worker.maxContainers + moreContainers };
}

function makeInstances(random: SeededRandom): InstanceRef[] {
  return Array.from({ length: random.integer(2, 6) }, (_, number) => ({
    className: random.weighted(classes),
    id: `i${number}`,
  }));
}

function makeClient(random: SeededRandom, instances: readonly InstanceRef[], healAtMs: number): ClientPlan {
  const favourites = random.shuffled(instances).slice(0, random.integer(1, instances.length));
  const lanes = Array.from({ length: random.integer(1, 4) }, () => makeLane(random, favourites, healAtMs));
  return { lanes };
}

function makeLane(random: SeededRandom, instances: readonly InstanceRef[], healAtMs: number): Step[] {
  const count = random.integer(stepsPerLane.from, stepsPerLane.to);
  const averagePauseMs = healAtMs / count;
  return Array.from({ length: count }, () => {
    const isNew = random.chance(newNames.share);
    const id = `n${random.integer(0, newNames.count - 1)}`;
    const instance = isNew ? { className: 'Serial', id } : random.pick(instances);
    const pauseMs = Math.round(random.next() * 2 * averagePauseMs * (random.chance(0.3) ? 0.05 : 1));
    const kind = random.weighted({ call: 30, attach: 1, close: 1 });
    if (kind === 'attach') return { kind, pauseMs, instance };
    if (kind === 'close') return { kind, pauseMs, instance, force: random.chance(0.3) };
    const call = makeCall(random, instance, instances);
    if (isNew && random.chance(newNames.uncalled)) return { kind, pauseMs, instance, call, times: 0, stall: null };
    return { kind, pauseMs, instance, call, ...makeBurst(random, instance, call) };
  });
}

/** Bursts that a pool grows for, and pauses in which it gets smaller. */
function makePoolLane(random: SeededRandom, healAtMs: number, loans: SeededRandom | null): Step[] {
  const instance = { className: 'Crowd', id: poolId };
  const count = random.integer(stepsPerLane.from, stepsPerLane.to);
  return Array.from({ length: count }, () => {
    const pauseMs = Math.round(((random.next() * 2 * healAtMs) / count) * (random.chance(0.3) ? 0.05 : 1));
    if (random.chance(0.04) || loans?.chance(0.06))
      return { kind: 'close', pauseMs, instance, force: random.chance(0.3) };
    const call = makeCall(random, instance, [instance]);
    const times = Number(random.weighted({ 1: 3, 5: 3, 12: 2, 20: 1 }));
    if (!loans?.chance(0.3)) return { kind: 'call', pauseMs, instance, call, times, stall: null };
    // All of its containers are full for as long as it takes to lose one.
    const long = { ...call, workMs: Math.round(loans.between(2_000, 14_000)), timeoutMs: 30_000, cancelAfterMs: null };
    return { kind: 'call', pauseMs, instance, call: long, times: loans.integer(6, 16), stall: null };
  });
}

function quickMs(random: SeededRandom): number {
  return random.chance(0.6) ? 0 : random.skewed(0.05, 2.5);
}

function slowMs(random: SeededRandom): number {
  return Math.round(random.chance(0.03) ? random.between(5_000, 25_000) : random.skewed(0.2, 1_500));
}

/** One call, a few at once, or more than the instance takes. */
function makeBurst(
  random: SeededRandom,
  { className }: InstanceRef,
  { method }: CallPlan,
): Pick<CallStep, 'times' | 'stall'> {
  const [few, many] = [random.integer(2, 6), className === 'Quick' ? random.integer(20, 60) : 20];
  if (method !== 'tick')
    return { times: { one: 1, few, many: 20 }[random.weighted({ one: 8, few: 3, many: 0.5 })], stall: null };
  const times = { one: 1, few, many }[random.weighted({ one: 2, few: 2, many: 4 })];
  const stall = { at: random.integer(0, times - 1), workMs: random.skewed(5, 5_000), isClosed: random.chance(0.15) };
  return { times, stall: random.chance(0.4) ? stall : null };
}

function methodsOf({ className }: InstanceRef): Readonly<Record<CallPlan['method'], number>> {
  if (className === 'Crowd') return poolMethods;
  return className === 'Quick' ? quickMethods : methods;
}

function makeCall(random: SeededRandom, to: InstanceRef, instances: readonly InstanceRef[]): CallPlan {
  const method = random.weighted(methodsOf(to));
  const isTick = method === 'tick';
  const items = random.integer(1, 12);
  const timeoutMs = Math.round(random.skewed(300, 30_000));
  return {
    method,
    timeoutMs,
    workMs: isTick ? quickMs(random) : slowMs(random),
    isDeaf: random.chance(0.2),
    argumentBytes: !isTick && random.chance(0.02) ? random.integer(60_000, 300_000) : 0,
    resultBytes: random.chance(0.02) ? random.integer(60_000, 300_000) : 0,
    cancelAfterMs: random.chance(isTick ? 0.15 : 0.06) ? Math.round(random.skewed(1, 5_000)) : null,
    items,
    read: random.chance(0.3) ? random.integer(0, items) : items,
    to: method === 'relay' ? random.pick(instances) : null,
    key: `k${random.integer(1, 3)}`,
    // By no chance of its own: all else of a plan stays as it was.
    isSpawned: (method === 'append' || method === 'put') && timeoutMs % 3 === 0,
  };
}
