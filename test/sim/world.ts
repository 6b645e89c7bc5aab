import { type CodeTrouble, setOutside } from './app/inside.js';
import { limitsOf, poolClasses, poolId } from './app/ledger-app.js';
import { keptAs } from './app/recorder.js';
import { ClientRun, type Handles, nameOf } from './client-run.js';
import { Cluster, type Site } from './cluster.js';
import { SeededRandom } from './engine/seeded-random.js';
import type { SimProcess } from './engine/sim-process.js';
import { Timeline, type TraceLine } from './engine/timeline.js';
import { FaultRunner } from './faults.js';
import type { History } from './history/history.js';
import type { Violation } from './history/records.js';
import { checkRules } from './history/rules.js';
import { checkSpawned } from './history/spawned-rules.js';
import { checkAlarms, checkState } from './history/state-rules.js';
import type { CallPlan, InstanceRef, Plan, Step } from './plan/plan.js';

/** What a world came to. */
export interface Outcome {
  readonly seed: string;
  readonly violations: readonly Violation[];
  /** The same for the same plan, always. */
  readonly hash: string;
  readonly events: number;
  readonly calls: number;
  readonly succeeded: number;
  readonly ahead: History['ahead'];
  readonly virtualMs: number;
  /** Null where it was not traced. */
  readonly lines: readonly TraceLine[] | null;
}

/** The longest that a lost place takes to be noticed and taken elsewhere, beside the lease. */
const recoverMs = 12_000;
/** A claim of a router that died, and an attempt that failed before that. */
const ringsWithinMs = 60_000;
/** The store's clock, and this one. */
const clocksDifferMs = 1_000;
const hardEndAfterMs = 210_000;
const lastCall: CallPlan = {
  method: 'append',
  timeoutMs: 60_000,
  workMs: 0,
  isDeaf: false,
  argumentBytes: 0,
  resultBytes: 0,
  cancelAfterMs: null,
  items: 1,
  read: 1,
  to: null,
  key: '',
  isSpawned: false,
};
/** Of the second one calls are sent ahead. */
const exact: readonly InstanceRef[] = [
  { className: 'Wide', id: 'exact' },
  { className: 'Quick', id: 'exact' },
];
/** In worlds that have pools. */
const exactPool: InstanceRef = { className: 'Calm', id: poolId };
/** Longer than calls of all clients take to arrive. */
const exactWorkMs = 4_000;

function exactIn(refs: readonly InstanceRef[]): readonly InstanceRef[] {
  return refs.some(({ className }) => poolClasses.has(className)) ? [...exact, exactPool] : exact;
}

interface ClientSite extends Site<ClientRun> {
  /** The steps that are left, by lane. */
  readonly lanes: Step[][];
  underway: number;
}

/** Runs the world of a plan from its beginning to its verdict. */
export async function runWorld(plan: Plan, options: { readonly isTraced?: boolean } = {}): Promise<Outcome> {
  const timeline = new Timeline(new SeededRandom(plan.seed), { isTraced: options.isTraced ?? false });
  const world = new World(timeline, plan);
  try {
    return await world.run();
  } finally {
    setOutside(null);
  }
}

class World {
  readonly #timeline: Timeline;
  readonly #plan: Plan;
  readonly #cluster: Cluster;
  readonly #clients = new Map<string, ClientSite>();
  readonly #handles: Handles = new Map();
  readonly #nature: SimProcess;
  readonly #faults: FaultRunner;
  readonly #trouble: CodeTrouble;
  #lastRounds = 0;
  #isOver = false;

  constructor(timeline: Timeline, plan: Plan) {
    this.#timeline = timeline;
    this.#plan = plan;
    this.#cluster = new Cluster(timeline, plan);
    this.#nature = this.#cluster.machine('nature').kernel;
    plan.clients.forEach(({ lanes }, i) => {
      const machine = this.#cluster.machine(`c${i}`);
      this.#clients.set(`c${i}`, { machine, run: null, lanes: lanes.map((lane) => [...lane]), underway: 0 });
    });
    this.#faults = new FaultRunner(
      this.#cluster,
      {
        processOf: (name) => this.#clients.get(name)?.run?.process ?? null,
        start: (name) => this.#startClient(name),
      },
      this.#nature,
    );
    const { history, register } = this.#cluster;
    this.#trouble = { ...plan.code };
    setOutside({ timeline, history, register, trouble: this.#trouble });
    timeline.onUncaught = (error, process) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      history.failed(`${process?.name ?? 'nobody'}: nobody catches ${text}`);
    };
  }

  async run(): Promise<Outcome> {
    const { healAtMs } = this.#plan;
    this.#cluster.startAll();
    for (const name of this.#clients.keys()) this.#startClient(name);
    this.#faults.schedule(this.#plan.faults);
    this.#nature.in(healAtMs, () => this.#heal());
    await this.#timeline.run(healAtMs + hardEndAfterMs, () => this.#isOver);
    const { history } = this.#cluster;
    if (!this.#isOver) history.break('liveness', this.#whatHangs());
    checkRules(history, this.#timeline.now);
    checkState(history, (instance, operation) => this.#cluster.storeServer.hasState(instance, keptAs(operation)));
    checkAlarms(history, (instance) => this.#cluster.storeServer.alarmOf(instance));
    // What a server forgets that was replaced is forgotten.
    const isForgetful = this.#plan.faults.some(({ kind }) => kind === 'store-failover');
    if (!isForgetful) checkSpawned(history, (id) => this.#cluster.storeServer.callOf(id));
    for (const process of [...this.#timeline.processes]) process.kill();
    const calls = [...history.operations.values()].filter(({ what, result }) => what === 'call' && result !== null);
    return {
      seed: this.#plan.seed,
      violations: history.violations,
      hash: this.#timeline.hash,
      events: this.#timeline.events,
      calls: calls.length,
      succeeded: calls.filter(({ result }) => result === 'ok').length,
      ahead: history.ahead,
      virtualMs: this.#timeline.now,
      lines: this.#timeline.lines,
    };
  }

  #startClient(name: string): void {
    const site = this.#clients.get(name);
    if (site === undefined || site.run?.process.isAlive) return;
    const run = new ClientRun(this.#cluster.context, site.machine, this.#handles);
    site.run = run;
    site.underway = site.lanes.length;
    for (const lane of site.lanes) run.process.in(1, () => void this.#walk(site, run, lane));
  }

  async #walk(site: ClientSite, run: ClientRun, lane: Step[]): Promise<void> {
    for (let step = lane.shift(); step !== undefined; step = lane.shift()) await run.step(step);
    site.underway -= 1;
    this.#lookForEnd();
  }

  /** From here on nothing fails any more, and everything must work again within the time that is promised. */
  #heal(): void {
    this.#faults.healAll();
    Object.assign(this.#trouble, { throws: 0, hangs: 0, failedStarts: 0, crashes: 0 });
    for (const name of this.#clients.keys()) this.#startClient(name);
    this.#lastRounds = this.#clients.size;
    for (const site of this.#clients.values()) {
      const { run } = site;
      if (run !== null) run.process.in(1, () => void this.#lastRound(run));
    }
  }

  async #lastRound(run: ClientRun): Promise<void> {
    const refs = new Map<string, InstanceRef>();
    for (const step of this.#plan.clients.flatMap(({ lanes }) => lanes.flat()))
      refs.set(nameOf(step.instance), step.instance);
    await Promise.all([...refs.values()].map((ref) => this.#mustAnswer(run, ref)));
    if (this.#lastRounds === this.#clients.size && run === [...this.#clients.values()][0]?.run)
      for (const ref of exactIn([...refs.values()])) await this.#mustBeExact(run, ref);
    for (const ref of refs.values()) await this.#mustRing(run, ref);
    this.#lastRounds -= 1;
    this.#lookForEnd();
  }

  async #mustAnswer(run: ClientRun, ref: InstanceRef): Promise<void> {
    const began = this.#timeline.now;
    const withinMs = this.#plan.leaseTtlMs + recoverMs;
    const tries: string[] = [];
    while (this.#timeline.now < began + withinMs) {
      const instance = await run.named(ref);
      const result = instance === null ? 'not found' : await run.call(instance, ref, { ...lastCall, method: 'look' });
      if (result === 'ok') {
        const tookMs = this.#timeline.now - began;
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
  async #mustRing(run: ClientRun, ref: InstanceRef): Promise<void> {
    const { storeServer, history } = this.#cluster;
    const healedAtMs = this.#timeline.epochMs + this.#plan.healAtMs;
    const until = this.#timeline.now + this.#plan.leaseTtlMs + recoverMs + ringsWithinMs;
    for (;;) {
      const atMs = storeServer.alarmOf(nameOf(ref));
      const pin = [...history.pins.values()].find(({ identity }) => nameOf(identity) === nameOf(ref));
      if (atMs === null || atMs > healedAtMs - clocksDifferMs || pin?.state === 'lost') return;
      if (this.#timeline.now > until) return history.break('alarms', `${nameOf(ref)} does not ring, due at ${atMs}`);
      await run.process.clock.sleep(500);
    }
  }

  /** R4: every spawned call has ended by then; one that has not is for the rules to tell. */
  #endOnceSpawned(until: number): void {
    const { storeServer, history } = this.#cluster;
    const isOpen = [...history.spawned.values()].some((id) => storeServer.callOf(id)?.endedAtMs === null);
    if (!isOpen || this.#timeline.now > until) this.#isOver = true;
    else this.#nature.in(500, () => this.#endOnceSpawned(until));
  }

  /** As many calls as an instance takes, and some more: exactly those are refused. */
  async #mustBeExact(run: ClientRun, ref: InstanceRef): Promise<void> {
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
    const [ok, refused] = [results.filter((r) => r === 'ok'), results.filter((r) => r === 'PendingLimitExceeded')];
    if (ok.length !== taken || refused.length !== tooMany) {
      const others = results.filter((r) => r !== 'ok' && r !== 'PendingLimitExceeded');
      const text = `of ${results.length} calls of ${nameOf(ref)} at once (${others.join(', ')}) ${ok.length} succeeded and ${refused.length} were refused, expected ${taken} and ${tooMany}`;
      this.#cluster.history.break('limits', text);
    }
  }

  #lookForEnd(): void {
    const isHealed = this.#timeline.now >= this.#plan.healAtMs;
    const isWalking = [...this.#clients.values()].some(({ underway }) => underway > 0);
    if (!isHealed || isWalking || this.#lastRounds > 0) return;
    this.#endOnceSpawned(this.#timeline.now + this.#plan.leaseTtlMs + recoverMs + ringsWithinMs);
  }

  #whatHangs(): string {
    const open = [...this.#cluster.history.operations.values()].filter(
      ({ result, process }) => result === null && process.isAlive,
    );
    return `the world does not come to rest: ${open.map(({ id, what, instance }) => `${what} ${id} of ${instance}`).join(', ')}`;
  }
}
