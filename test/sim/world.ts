import { type CodeTrouble, setOutside } from './app/inside.js';
import { keptAs } from './app/recorder.js';
import { ClientRun, type Handles, nameOf } from './client-run.js';
import { Cluster, type Site } from './cluster.js';
import { SeededRandom } from './engine/seeded-random.js';
import type { SimProcess } from './engine/sim-process.js';
import { Timeline, type TraceLine } from './engine/timeline.js';
import { FaultRunner } from './faults.js';
import type { History } from './history/history.js';
import { checkLoans } from './history/loan-rules.js';
import type { Violation } from './history/records.js';
import { checkRules } from './history/rules.js';
import { checkSpawned } from './history/spawned-rules.js';
import { checkAlarms, checkState } from './history/state-rules.js';
import { exactIn, LastRound, recoverMs, ringsWithinMs } from './last-round.js';
import { aloneId } from './plan/make-scenario.js';
import type { InstanceRef, Plan, Step } from './plan/plan.js';

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
  /** Containers. */
  readonly lent: number;
  readonly virtualMs: number;
  /** Null where it was not traced. */
  readonly lines: readonly TraceLine[] | null;
}

const hardEndAfterMs = 420_000;

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
    checkLoans(history, this.#timeline.now);
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
      lent: history.loans.size,
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
    const must = new LastRound(this.#cluster, this.#plan, this.#nature);
    const refs = new Map<string, InstanceRef>();
    for (const { instance } of this.#plan.clients.flatMap(({ lanes }) => lanes.flat()))
      if (instance.id !== aloneId) refs.set(nameOf(instance), instance);
    await Promise.all([...refs.values()].map((ref) => must.answers(run, ref)));
    if (this.#lastRounds === this.#clients.size && run === [...this.#clients.values()][0]?.run) {
      await must.moves();
      for (const ref of exactIn([...refs.values()])) await must.isExact(run, ref);
    }
    for (const ref of refs.values()) await must.rings(run, ref);
    this.#lastRounds -= 1;
    this.#lookForEnd();
  }

  /** R4: each spawned call has ended by then, those that wait for others some time after them; what has not is for the rules to tell. */
  #endOnceSpawned(last: { readonly open: number; readonly until: number }): void {
    const { storeServer, history } = this.#cluster;
    const open = [...history.spawned.values()].filter((id) => storeServer.callOf(id)?.endedAtMs === null).length;
    const { now } = this.#timeline;
    if (open === 0 || now > last.until) {
      this.#isOver = true;
      return;
    }
    const until = now + this.#plan.leaseTtlMs + recoverMs + ringsWithinMs;
    const next = open < last.open ? { open, until } : last;
    this.#nature.in(500, () => this.#endOnceSpawned(next));
  }

  #lookForEnd(): void {
    const isHealed = this.#timeline.now >= this.#plan.healAtMs;
    const isWalking = [...this.#clients.values()].some(({ underway }) => underway > 0);
    if (!isHealed || isWalking || this.#lastRounds > 0) return;
    this.#endOnceSpawned({ open: Infinity, until: Infinity });
  }

  #whatHangs(): string {
    const open = [...this.#cluster.history.operations.values()].filter(
      ({ result, process }) => result === null && process.isAlive,
    );
    return `the world does not come to rest: ${open.map(({ id, what, instance }) => `${what} ${id} of ${instance}`).join(', ')}`;
  }
}
