import type { BootId, InstanceKey, WorkerId } from '../../src/common/ids.js';
import { leaseTimes } from '../../src/common/lease.js';
import type { CallStore } from '../../src/common/ports/call-store.js';
import type { StateStore } from '../../src/common/ports/state-store.js';
import type { LeaseStore, PinStore, Store } from '../../src/common/ports/store.js';
import { registeredApps } from '../../src/sdk/classes/registry.js';
import { createToken } from '../../src/wire/token.js';
import { app } from './app/recorder.js';
import { Register } from './app/register.js';
import type { SeededRandom } from './engine/seeded-random.js';
import type { SimProcess } from './engine/sim-process.js';
import type { Timeline } from './engine/timeline.js';
import { History } from './history/history.js';
import { brokenBy } from './history/pin-rules.js';
import type { Listener } from './net/dial.js';
import { Network } from './net/network.js';
import { BusServer } from './net/sim-bus.js';
import { account, type ClusterContext, type RouterListener } from './parts/cluster-context.js';
import { Machine } from './parts/machine.js';
import { RouterProcess } from './parts/router-process.js';
import { WorkerProcess } from './parts/worker-process.js';
import type { Plan } from './plan/plan.js';
import { ObjectServer } from './store/sim-objects.js';
import { StoreConnection } from './store/store-connection.js';
import { StoreServer } from './store/store-server.js';

/** A machine and the one program that is started on it again and again. */
export interface Site<Run> {
  readonly machine: Machine;
  run: Run | null;
}

/** Routers, workers and what they stand on, all in one process and in virtual time. */
export class Cluster {
  readonly context: ClusterContext;
  readonly network: Network;
  readonly history: History;
  readonly register: Register;
  readonly storeServer: StoreServer;
  readonly busServer: BusServer;
  readonly machines = new Map<string, Machine>();
  readonly routers = new Map<string, Site<RouterProcess>>();
  readonly workers = new Map<string, Site<WorkerProcess>>();
  readonly #plan: Plan;
  readonly #timeline: Timeline;
  readonly #random: SeededRandom;
  readonly #stores = new Map<SimProcess, Store>();

  constructor(timeline: Timeline, plan: Plan) {
    this.#timeline = timeline;
    this.#plan = plan;
    this.#random = timeline.random.fork('cluster');
    this.network = new Network(timeline, plan.network);
    const { network } = this;
    const times = leaseTimes(plan.leaseTtlMs);
    this.storeServer = new StoreServer(this.machine('store').start('store'), network, {
      trouble: { ...plan.store, slowness: 0 },
      quarantineMs: times.ttlMs + times.graceMs,
    });
    this.history = new History(timeline, (bootId) => this.storeServer.isLeaseHeld(bootId));
    this.#watchStore(this.storeServer.store, times.ttlMs);
    this.#watchCalls(this.storeServer.store.calls);
    this.busServer = new BusServer({
      process: this.machine('bus').start('bus'),
      network,
      reorders: plan.busReorders,
      onError: (error, subject) => this.history.failed(`a handler of ${subject} threw ${String(error)}`),
    });
    this.register = new Register(this.machine('outside').start('outside'), network, this.history);
    const objects = new ObjectServer(this.machine('objects').start('objects'), network);
    const token = createToken(this.#random, { account, role: 'call', label: 'sim', createdAtMs: timeline.epochMs });
    this.#seed(token.record);
    for (let i = 0; i < plan.routers; i += 1) this.routers.set(`r${i}`, { machine: this.machine(`r${i}`), run: null });
    for (const i of plan.workers.keys()) this.workers.set(`w${i}`, { machine: this.machine(`w${i}`), run: null });
    this.context = {
      timeline,
      network,
      bus: this.busServer,
      objects,
      history: this.history,
      leaseTimes: times,
      token: token.text,
      storeOf: (process) => this.#storeOf(process),
      routerAddresses: [...this.routers.keys()].map(addressOf),
      router: (address) => alive(this.routers.get(nameOf(address))?.run),
      worker: (address) => alive(this.workers.get(nameOf(address))?.run),
      hostOf: (address) => this.machine(nameOf(address)).host,
    };
  }

  /** Made when it is first named. */
  machine(name: string): Machine {
    const known = this.machines.get(name);
    if (known !== undefined) return known;
    const { clockDrift, slowKills } = this.#plan;
    const machine = new Machine(this.#timeline, name, { drift: clockDrift, slowKills });
    this.machines.set(name, machine);
    return machine;
  }

  startAll(): void {
    for (const name of [...this.routers.keys(), ...this.workers.keys()]) this.start(name);
  }

  /** Starts the program of a machine where it does not run. */
  start(name: string): void {
    const router = this.routers.get(name);
    if (router !== undefined && !router.run?.process.isAlive && !router.machine.host.isDown) {
      const process = router.machine.start(name);
      router.run = null;
      process.in(1, () => {
        router.run = new RouterProcess(this.context, process, addressOf(name));
      });
    }
    const worker = this.workers.get(name);
    if (worker !== undefined && !worker.run?.process.isAlive && !worker.machine.host.isDown) {
      const limits = this.#plan.workers[Number(name.slice(1))] ?? otherwise;
      const settings = { workerId: name as WorkerId, address: addressOf(name), ...limits };
      worker.run = new WorkerProcess(this.context, worker.machine, settings);
    }
  }

  /** The program of a router's or worker's machine. */
  processOf(name: string): SimProcess | null {
    return (this.routers.get(name) ?? this.workers.get(name))?.run?.process ?? null;
  }

  /** Another server of the store takes over, without what was written last. */
  failOver(lagMs: number): void {
    const lost = this.storeServer.failOver(lagMs);
    const keys = new Set(lost.map(([, key]) => key as InstanceKey));
    for (const key of keys) {
      void this.storeServer.store.pins.get(key).then((pin) => this.history.forgotten(key, pin));
    }
  }

  #storeOf(process: SimProcess): Store {
    const known = this.#stores.get(process);
    if (known !== undefined) return known;
    const store = new StoreConnection(this.storeServer, process, this.context.leaseTimes.storeTimeoutMs);
    this.#stores.set(process, store);
    process.onDeath(() => this.#stores.delete(process));
    return store;
  }

  /** Before anything runs: what a deploy and a first token leave in the store. */
  #seed(token: Parameters<Store['keys']['putToken']>[0]): void {
    const { apps, keys } = this.storeServer.store;
    const classes = registeredApps().find(({ name }) => name === app.name)?.classes ?? [];
    const manifests = classes.map((each) => [each.name, { ...each.manifest, exportName: each.name }] as const);
    void keys.putToken(token);
    void apps.publish({
      account,
      app: app.name,
      // Nobody reads it: its classes are registered in this process.
      bundleSha256: '0'.repeat(64),
      createdAtMs: this.#timeline.epochMs,
      manifest: { app: app.name, tags: [], metadata: {}, classes: Object.fromEntries(manifests) },
    });
  }

  /** In which state of its instance a spawned call is lost. */
  #watchCalls(calls: CallStore): void {
    const commit = calls.commit.bind(calls);
    const abandon = calls.abandon.bind(calls);
    Object.assign(calls, {
      commit: async (...[owner, wanted]: Parameters<CallStore['commit']>) => {
        const result = await commit(owner, wanted);
        if (result === 'committed') this.history.callsWritten(owner);
        for (const change of result === 'committed' ? wanted.changes : []) {
          if (change.kind === 'end' && change.progress.state === 'lost') this.history.callLost(change.id, owner.key);
        }
        return result;
      },
      abandon: async (...[key, ends]: Parameters<CallStore['abandon']>) => {
        const before = await calls.list(key, mostCalls);
        await abandon(key, ends);
        const after = new Map((await calls.list(key, mostCalls)).map(({ id, progress }) => [id, progress.state]));
        for (const { id, progress } of before) {
          if (progress.endedAtMs === null && after.get(id) === 'lost') this.history.callLost(id, key);
        }
      },
    });
  }

  /** The truth about pins and durable state, as the store's server has it. */
  #watchStore({ pins, state, leases }: Pick<Store, 'pins' | 'state' | 'leases'>, ttlMs: number): void {
    const create = leases.create.bind(leases);
    const renew = leases.renew.bind(leases);
    const release = leases.release.bind(leases);
    Object.assign(leases, {
      create: async (...[lease, forMs]: Parameters<LeaseStore['create']>) => {
        await create(lease, forMs);
        this.history.leaseTaken(lease.bootId, ttlMs);
      },
      renew: async (...[bootId, forMs]: Parameters<LeaseStore['renew']>) => {
        const answer = await renew(bootId, forMs);
        if (answer === 'renewed') this.history.leaseTaken(bootId, ttlMs);
        return answer;
      },
      release: async (bootId: BootId) => {
        await release(bootId);
        this.history.leaseReleased(bootId);
      },
    });
    const [change, attest] = [pins.change.bind(pins), pins.attest.bind(pins)];
    Object.assign(pins, {
      change: async (...[key, wanted]: Parameters<PinStore['change']>) => {
        const before = this.history.pins.get(key) ?? null;
        const result = await change(key, wanted);
        const broken = brokenBy({ before, wanted, result });
        if (broken !== null) this.history.break('pins', broken);
        if (result.applied) this.history.pinChanged(key, result.pin);
        return result;
      },
      attest: async (...[key, pin]: Parameters<PinStore['attest']>) => {
        const result = await attest(key, pin);
        const stands = await pins.get(key);
        if (result === 'stands' && stands !== null) this.history.pinChanged(key, stands);
        return result;
      },
    });
    const commit = state.commit.bind(state);
    Object.assign(state, {
      commit: async (...[owner, wanted]: Parameters<StateStore['commit']>) => {
        const result = await commit(owner, wanted);
        if (result === 'committed') this.history.stateWritten(owner);
        return result;
      },
    });
  }
}

/** Of one instance, in one world. */
const mostCalls = 10_000;
const otherwise = { maxContainers: 4, warmContainers: 0, cpuCores: 4 } as const;

function addressOf(name: string): string {
  return `${name}:1`;
}

function nameOf(address: string): string {
  return address.slice(0, address.indexOf(':'));
}

function alive<Run extends Listener | RouterListener>(run: Run | null | undefined): Run | null {
  return run?.process.isAlive ? run : null;
}
