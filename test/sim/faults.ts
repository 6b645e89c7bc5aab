import type { Cluster } from './cluster.js';
import type { SimHost, SimProcess, WakeOrder } from './engine/sim-process.js';
import type { Timeline } from './engine/timeline.js';
import type { Machine } from './parts/machine.js';
import type { Fault, KillTarget, StopTarget } from './plan/plan.js';

type Undo = () => void;
type Of<Kind extends Fault['kind']> = Extract<Fault, { readonly kind: Kind }>;

/** Clients are the world's own: they are started and found there. */
export interface ClientSites {
  processOf(name: string): SimProcess | null;
  start(name: string): void;
}

/** A worker notices the end of its watchdog in this time. */
const noticedWithinMs = 1_000;

/** Makes happen what the plan says, and undoes it when its time is over or all is healed. */
export class FaultRunner {
  readonly #cluster: Cluster;
  readonly #clients: ClientSites;
  readonly #timeline: Timeline;
  readonly #nature: SimProcess;
  readonly #undone = new Set<Undo>();

  constructor(cluster: Cluster, clients: ClientSites, nature: SimProcess) {
    this.#cluster = cluster;
    this.#clients = clients;
    this.#timeline = nature.timeline;
    this.#nature = nature;
  }

  schedule(faults: readonly Fault[]): void {
    for (const fault of faults) this.#at(fault.atMs, () => this.#begin(fault));
  }

  /** Everything that lasts ends now. */
  healAll(): void {
    this.#timeline.note(null, 'ALL IS HEALED');
    for (const undo of [...this.#undone]) undo();
    Object.assign(this.#cluster.storeServer.trouble, { lostRequest: 0, lostReply: 0, slowness: 0 });
    for (const name of ['store', 'bus', ...this.#cluster.routers.keys(), ...this.#cluster.workers.keys()]) {
      this.#cluster.machine(name).host.isDown = false;
      this.#cluster.start(name);
    }
  }

  #begin(fault: Fault): void {
    this.#timeline.note(null, 'FAULT', JSON.stringify(fault));
    const undo = this.#apply(fault);
    this.#lookForUnguarded();
    if (undo === null) return;
    const once = (): void => {
      if (!this.#undone.delete(once)) return;
      this.#timeline.note(null, 'END OF FAULT', fault.kind);
      undo();
    };
    this.#undone.add(once);
    this.#nature.in(fault.forMs, once);
  }

  #apply(fault: Fault): Undo | null {
    switch (fault.kind) {
      case 'kill':
        return this.#kill(fault);
      case 'stop':
        return this.#stop(fault);
      case 'power-off':
        return this.#powerOff(fault);
      case 'cut':
        return this.#cut(this.#host(fault.from), this.#host(fault.to), fault.isOneWay);
      case 'isolate':
        return this.#isolate(fault);
      case 'flap':
        return this.#flap(fault);
      case 'reset':
        this.#cluster.network.reset(this.#host(fault.from), this.#host(fault.to));
        return null;
      case 'slow':
        return this.#slow(fault);
      case 'store-down':
        return this.#storeDown(0);
      case 'store-failover':
        return this.#storeDown(fault.lagMs);
      case 'store-trouble':
        return this.#storeTrouble(fault);
      case 'drain':
        return this.#drain(fault);
      case 'close':
        return this.#close(fault);
      case 'redeploy':
        this.#cluster.routers.get(fault.target)?.run?.redeploy(fault.instances);
        return null;
      case 'clock-jump':
        this.#host(fault.target).wallOffsetMs += fault.byMs;
        return null;
      default:
        return fault satisfies never;
    }
  }

  #kill({ target, what }: Of<'kill'>): Undo | null {
    for (const process of this.#processes(target, what)) process.kill();
    return () => this.#start(target);
  }

  #stop({ target, what, order }: Of<'stop'>): Undo | null {
    const machine = this.#cluster.machine(target);
    const stopped = what === 'all' ? machine.stopAll() : this.#processes(target, what);
    for (const process of stopped) {
      process.stop();
      this.#cluster.network.stopped(process);
    }
    return () => wake(stopped, order);
  }

  #powerOff({ target }: Of<'power-off'>): Undo {
    const machine = this.#cluster.machine(target);
    machine.crash();
    return () => {
      machine.host.isDown = false;
      this.#start(target);
    };
  }

  #cut(from: SimHost, to: SimHost, isOneWay: boolean): Undo {
    const { network, busServer } = this.#cluster;
    network.cut(from, to);
    if (!isOneWay) network.cut(to, from);
    busServer.disturbed();
    return () => {
      network.heal(from, to);
      if (!isOneWay) network.heal(to, from);
    };
  }

  #isolate({ target }: Of<'isolate'>): Undo {
    const host = this.#host(target);
    const others = [...this.#cluster.machines.values()].map((machine) => machine.host);
    const undos = others.filter((other) => other !== host).map((other) => this.#cut(host, other, false));
    return () => {
      for (const undo of undos) undo();
    };
  }

  #flap({ from, to, everyMs }: Of<'flap'>): Undo {
    let heal: Undo | null = null;
    let isOver = false;
    const turn = (): void => {
      if (isOver) return;
      if (heal === null) {
        heal = this.#cut(this.#host(from), this.#host(to), false);
      } else {
        heal();
        heal = null;
      }
      this.#nature.in(everyMs, turn);
    };
    turn();
    return () => {
      isOver = true;
      heal?.();
    };
  }

  #slow({ from, to, factor, loss }: Of<'slow'>): Undo {
    const { network } = this.#cluster;
    network.degrade(this.#host(from), this.#host(to), { slowness: factor, loss });
    return () => network.degrade(this.#host(from), this.#host(to), { slowness: 1, loss: 0 });
  }

  /** With a lag, another server takes over when it is back, which had not heard of what was written last before that. */
  #storeDown(lagMs: number): Undo {
    const { storeServer } = this.#cluster;
    const wentAt = this.#timeline.now;
    storeServer.isDown = true;
    return () => {
      storeServer.isDown = false;
      if (lagMs > 0) this.#cluster.failOver(lagMs + this.#timeline.now - wentAt);
    };
  }

  #storeTrouble({ lostRequest, lostReply, slownessMs }: Of<'store-trouble'>): Undo {
    const { trouble } = this.#cluster.storeServer;
    const before = { ...trouble };
    Object.assign(trouble, { lostRequest, lostReply, slowness: slownessMs });
    return () => void Object.assign(trouble, before);
  }

  #drain({ target }: Of<'drain'>): Undo {
    const run = this.#cluster.workers.get(target)?.run;
    const { process } = run ?? {};
    if (run?.process.isAlive) run.process.in(0, () => void run.drain());
    return () => {
      // A supervisor kills what does not end.
      process?.kill();
      this.#start(target);
    };
  }

  #close({ target }: Of<'close'>): Undo {
    const run = this.#cluster.routers.get(target)?.run;
    if (run?.process.isAlive) run.process.in(0, () => run.close());
    return () => {
      run?.process.kill();
      this.#start(target);
    };
  }

  /**
   * Where neither the worker nor its watchdog can act for long, nobody ends the code in time (S7: then only its durable writes are
   * fenced). A watchdog that died before the worker stood still is no excuse: the worker had to end by itself.
   */
  #lookForUnguarded(): void {
    const { history, context } = this.#cluster;
    for (const { run, machine } of this.#cluster.workers.values()) {
      if (run === null || run.watchdog === null) continue;
      const { process, watchdog } = run;
      this.#lookForUnguardedLoans(machine, process);
      const isGuarded = (): boolean => {
        const isLate = !watchdog.isAlive && process.isStopped && watchdog.diedAt < process.stoppedAt - noticedWithinMs;
        return [process, watchdog].some((each) => each.isAlive && !each.isStopped) || isLate;
      };
      if (isGuarded()) continue;
      this.#nature.in(context.leaseTimes.fenceAfterMs / 2, () => {
        if (isGuarded()) return;
        for (const activation of history.activations) {
          if (activation.endedAt === null && activation.process.host === machine.host) activation.wasUnguarded = true;
        }
      });
    }
  }

  /** The end of a borrower's lease is seen by the lender's worker alone; where that stands still, by its watchdog at the end of its own. */
  #lookForUnguardedLoans(machine: Machine, worker: SimProcess): void {
    const { history, context } = this.#cluster;
    if (!worker.isStopped) return;
    const { stoppedAt } = worker;
    this.#nature.in(context.leaseTimes.fenceAfterMs / 2, () => {
      if (!worker.isStopped || worker.stoppedAt !== stoppedAt) return;
      for (const activation of history.activations) {
        const isHere = activation.process.host === machine.host && activation.loan !== null;
        if (isHere && activation.endedAt === null) activation.hasStoodStill = true;
      }
    });
  }

  #processes(target: string, what: KillTarget | StopTarget): SimProcess[] {
    const worker = this.#cluster.workers.get(target)?.run;
    const main = worker?.process ?? this.#cluster.processOf(target) ?? this.#clients.processOf(target);
    const chosen: (SimProcess | null | undefined)[] = [];
    if (what === 'process' || what === 'both') chosen.push(main);
    if (what === 'watchdog' || what === 'both') chosen.push(worker?.watchdog);
    if (what === 'container') chosen.push(worker?.containers[0]);
    return chosen.filter((process): process is SimProcess => process?.isAlive === true && !process.isStopped);
  }

  #start(name: string): void {
    if (name.startsWith('c')) this.#clients.start(name);
    else this.#cluster.start(name);
  }

  #host(name: string): SimHost {
    return this.#cluster.machine(name).host;
  }

  #at(atMs: number, task: () => void): void {
    this.#timeline.at(atMs, { process: this.#nature, kind: 'fault', task });
  }
}

function wake(processes: readonly SimProcess[], order: WakeOrder): void {
  for (const process of processes) process.wake(order);
}
