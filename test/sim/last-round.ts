import type { Pin } from '../../src/common/pin.js';
import { limitsOf, poolClasses, poolId } from './app/ledger-app.js';
import { type ClientRun, nameOf } from './client-run.js';
import type { Cluster } from './cluster.js';
import type { SimProcess } from './engine/sim-process.js';
import { type CallPlan, type InstanceRef, type Plan, plainCall } from './plan/plan.js';

/** The longest that a lost place takes to be noticed and taken elsewhere, beside the lease. */
export const recoverMs = 12_000;
/** A claim of a router that died, and an attempt that failed before that. */
export const ringsWithinMs = 60_000;
/** The store's clock, and this one. */
const clocksDifferMs = 1_000;
/** Calls that run have their time to end. */
const movesWithinMs = 60_000;
const deployAgainMs = 500;
const lastCall: CallPlan = { ...plainCall, method: 'append' };
/** Of the second one calls are sent ahead. */
const exact: readonly InstanceRef[] = [
  { className: 'Wide', id: 'exact' },
  { className: 'Quick', id: 'exact' },
];
/** In worlds that have pools. */
const exactPool: InstanceRef = { className: 'Calm', id: poolId };
/** Longer than calls of all clients take to arrive. */
const exactWorkMs = 4_000;

export function exactIn(refs: readonly InstanceRef[]): readonly InstanceRef[] {
  return refs.some(({ className }) => poolClasses.has(className)) ? [...exact, exactPool] : exact;
}

/** What must be so once all is healed. */
export class LastRound {
  readonly #cluster: Cluster;
  readonly #plan: Plan;
  readonly #nature: SimProcess;

  constructor(cluster: Cluster, plan: Plan, nature: SimProcess) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#nature = nature;
  }

  get #now(): number {
    return this.#nature.timeline.now;
  }

  async answers(run: ClientRun, ref: InstanceRef): Promise<void> {
    const began = this.#now;
    const withinMs = this.#plan.leaseTtlMs + recoverMs;
    const tries: string[] = [];
    while (this.#now < began + withinMs) {
      const instance = await run.named(ref);
      const result = instance === null ? 'not found' : await run.call(instance, ref, { ...lastCall, method: 'look' });
      if (result === 'ok') {
        const tookMs = this.#now - began;
        if (tookMs <= withinMs) return;
        tries.push(`ok after ${Math.round(tookMs)} ms`);
        break;
      }
      tries.push(result);
      // Lost for good is an answer, too.
      if (ref.className === 'Fragile' && (result === 'not found' || result === 'InstanceLost')) return;
      await run.process.clock.sleep(500);
    }
    this.#cluster.history.break('liveness', `${nameOf(ref)} does not answer ${run.process.name}: ${tries.join(', ')}`);
  }

  /** A2: what was due when all was healed has rung. One that is lost for good, or closed meanwhile, does not. */
  async rings(run: ClientRun, ref: InstanceRef): Promise<void> {
    const { storeServer, history } = this.#cluster;
    const healedAtMs = this.#nature.timeline.epochMs + this.#plan.healAtMs;
    const until = this.#now + this.#plan.leaseTtlMs + recoverMs + ringsWithinMs;
    for (;;) {
      const atMs = storeServer.alarmOf(nameOf(ref));
      const pin = [...history.pins.values()].find(({ identity }) => nameOf(identity) === nameOf(ref));
      if (atMs === null || atMs > healedAtMs - clocksDifferMs || pin?.state === 'lost') return;
      if (this.#now > until) return history.break('alarms', `${nameOf(ref)} does not ring, due at ${atMs}`);
      await run.process.clock.sleep(500);
    }
  }

  /** C11: what runs goes to another version when it is told to, where nothing fails. In worlds that had such trouble anyway. */
  async moves(): Promise<void> {
    const { history, routers } = this.#cluster;
    const [router] = routers.values();
    if (!this.#plan.faults.some(({ kind }) => kind === 'redeploy')) return;
    const before = [...history.pins].filter(([, { state }]) => state === 'active');
    // It may not have noticed yet that it can reach its store again.
    const deploy = (): void => {
      router?.run?.redeploy('restart', (isDeployed) => {
        if (!isDeployed) this.#nature.in(deployAgainMs, deploy);
      });
    };
    deploy();
    const until = this.#now + this.#plan.leaseTtlMs + movesWithinMs;
    const stays = () => before.filter(([key, { epoch }]) => isActiveAt(history.pins.get(key), epoch));
    while (stays().length > 0) {
      if (this.#now > until) {
        const names = stays().map(([, { identity, deployment }]) => `${nameOf(identity)} at ${deployment}`);
        return history.break('liveness', `not moved to another version: ${names.join(', ')}`);
      }
      await this.#nature.clock.sleep(200);
    }
  }

  /** As many calls as an instance takes, and some more: exactly those are refused. */
  async isExact(run: ClientRun, ref: InstanceRef, tries = 3): Promise<void> {
    const limits = limitsOf[ref.className];
    const instance = await run.named(ref);
    if (instance === null || limits === undefined)
      return this.#cluster.history.break('liveness', 'no instance for limits');
    // The connection may still be one to a worker that is no more, which nobody has noticed.
    await run.call(instance, ref, { ...lastCall, method: 'look' });
    const tick: CallPlan = { ...lastCall, method: 'tick' };
    await run.call(instance, ref, tick);
    const tooMany = 4;
    const taken = limits.concurrentRequests + limits.maxPendingTasks;
    const long = { ...tick, workMs: exactWorkMs };
    const calls = Array.from({ length: taken + tooMany }, (_, i) =>
      run.call(instance, ref, i < limits.concurrentRequests ? long : tick),
    );
    const results = await Promise.all(calls);
    // A neighbour that did not end when it was closed has taken their container with it: at most a few can.
    if (results.includes('OutcomeUnknown') && tries > 1) return await this.isExact(run, ref, tries - 1);
    const [ok, refused] = [results.filter((r) => r === 'ok'), results.filter((r) => r === 'PendingLimitExceeded')];
    if (ok.length !== taken || refused.length !== tooMany) {
      const others = results.filter((r) => r !== 'ok' && r !== 'PendingLimitExceeded');
      const text = `of ${results.length} calls of ${nameOf(ref)} at once (${others.join(', ')}) ${ok.length} succeeded and ${refused.length} were refused, expected ${taken} and ${tooMany}`;
      this.#cluster.history.break('limits', text);
    }
  }
}

function isActiveAt(pin: Pin | undefined, epoch: number): boolean {
  return pin?.state === 'active' && pin.epoch === epoch;
}
