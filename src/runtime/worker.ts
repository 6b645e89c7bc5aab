import { ulid } from 'ulid';
import type { BootId, InstanceKey } from '../common/ids.js';
import type { Pin } from '../common/pin.js';
import type { BusSubscription } from '../common/ports/bus.js';
import type { Channel } from '../common/ports/channel.js';
import type { SigningKey } from '../common/ports/store.js';
import type { Watchdog } from '../common/ports/watchdog.js';
import { TimerWheel } from '../common/timer-wheel.js';
import type { WorkerHeartbeat } from '../wire/gen/holdfast/v1/bus.js';
import { LinkHost } from '../wire/link/link-host.js';
import { workerControlSubject } from '../wire/subjects.js';
import { Capabilities } from './calls/capabilities.js';
import type { ClientHost } from './calls/client-host.js';
import { ClientSession } from './calls/client-session.js';
import { Control } from './control.js';
import { describeWorker } from './describe-worker.js';
import { Heartbeat } from './heartbeat.js';
import { announcePin } from './hints.js';
import { containerListeners } from './hosting/container-listener.js';
import { type ContainerPools, makePools } from './hosting/container-pools.js';
import { ClassLoader } from './hosting/loaded-class.js';
import { Activator } from './instances/activator.js';
import { Alarms } from './instances/alarms.js';
import { attestAll } from './instances/attest.js';
import type { Instance } from './instances/instance.js';
import { Leaving } from './instances/leaving.js';
import { PinKeeper } from './instances/pin-keeper.js';
import { type LeaseEnd, LeaseKeeper } from './lease-keeper.js';
import { Loans } from './loans/loans.js';
import { LogBook } from './log-book.js';
import type { WorkerGauges } from './metrics.js';
import { RecentFiles } from './recent-files.js';
import { ByteTickets } from './sandbox/guest/byte-tickets.js';
import { Sandboxes } from './sandbox/sandboxes.js';
import { Sessions } from './sandbox/sessions.js';
import { secretsOf } from './secret-source.js';
import { ArgumentRoom } from './spawned/argument-room.js';
import type { WorkerConfig, WorkerDeps } from './worker-options.js';

/** From a client's hello to its first good capability, which comes with its first call. */
const strangerForMs = 30_000;
const wheelTickMs = 10;

/** One boot of a worker: from its lease to its last container. */
export class Worker {
  readonly bootId: BootId;
  readonly #config: WorkerConfig;
  readonly #deps: WorkerDeps;
  readonly #lease: LeaseKeeper;
  readonly #mayRun = (): boolean => this.#lease.mayRun();
  readonly #watchdog: Watchdog;
  readonly #wheel: TimerWheel;
  readonly #recentFiles = new RecentFiles();
  readonly #instances = new Map<InstanceKey, Instance>();
  readonly #links: LinkHost;
  /** Of clients' streams of bytes. */
  readonly tickets: ByteTickets;
  readonly #pools: ContainerPools;
  /** Null: this host cannot isolate. */
  readonly #sandboxes: Sandboxes | null;
  readonly #sessions: Sessions | null;
  readonly #activator: Activator;
  readonly #loans: Loans;
  readonly #leaving: Leaving;
  readonly #logs: LogBook;
  readonly #heartbeat: Heartbeat;
  readonly #control: BusSubscription;
  readonly #capabilities: Capabilities;
  #draining: Promise<number> | null = null;
  #ending: Promise<void> | null = null;
  #host: ReturnType<WorkerDeps['hostResources']>;

  /** Takes the lease, starts the watchdog, and is ready for its first placement. @throws Unavailable */
  static async start(config: WorkerConfig, deps: WorkerDeps): Promise<Worker> {
    const newId = () => ulid(deps.clock.now(), () => deps.random.next());
    const bootId = newId() as BootId;
    const { workerId, account, address, leaseTimes } = config;
    const lease = new LeaseKeeper(
      { bootId, workerId, account, address },
      { store: deps.store, clock: deps.clock, times: leaseTimes },
    );
    const fresh = { id: newId(), secret: deps.random.bytes(32), createdAtMs: deps.clock.now() };
    const keys = await deps.store.keys.signingKeys(account, fresh);
    await lease.take();
    const watchdog = await deps.startWatchdog(bootId, lease.deadline);
    let worker: Worker | null = null;
    lease.keep(watchdog, async () => await worker?.attest());
    try {
      worker = new Worker(bootId, { config, deps, lease, watchdog, keys });
      return worker;
    } catch (e) {
      // Nobody else would end it: its lease would be renewed for ever.
      lease.end('stopped');
      await watchdog.stop();
      throw e;
    }
  }

  private constructor(
    bootId: BootId,
    parts: {
      readonly config: WorkerConfig;
      readonly deps: WorkerDeps;
      readonly lease: LeaseKeeper;
      readonly watchdog: Watchdog;
      readonly keys: readonly SigningKey[];
    },
  ) {
    const { config, deps, lease, watchdog } = parts;
    const { clock, random, store, bus, objects, bundles } = deps;
    const { account, workerId, address } = config;
    this.bootId = bootId;
    this.#config = config;
    this.#deps = deps;
    this.#host = deps.hostResources();
    this.#lease = lease;
    this.#watchdog = watchdog;
    this.#capabilities = new Capabilities({ account, keys: parts.keys, store: store.keys, clock });
    this.#wheel = new TimerWheel(clock, wheelTickMs);
    this.#logs = new LogBook({ bus, clock, account, workerId });
    const room = ArgumentRoom.ofWorker();
    this.#links = new LinkHost({
      bootId,
      clock,
      onSession: (link) => new ClientSession(this.#clientHost(), link, room.ofClient()),
      beforeFlush: () => lease.mayRun(),
      strangerForMs,
      onOther: (channel, first) => this.#loans.lending.accept(channel, first),
    });
    this.tickets = new ByteTickets({ random, mayRun: () => lease.mayRun() });
    const platform = deps.sandboxPlatform(bootId, watchdog);
    this.#sandboxes = platform && new Sandboxes({ platform, clock, random, wheel: this.#wheel, tickets: this.tickets });
    const sandboxes = this.#sandboxes;
    const transport = () => deps.transport(this.#capabilities.keys);
    const said = { clock, store, log: deps.log, logs: this.#logs, mayRun: this.#mayRun };
    const eventsOf = containerListeners({ ...said, transport, objects, account });
    const starter = deps.starterOf(bootId, watchdog);
    this.#pools = makePools({ config, clock, bundles, starter, sandboxes, eventsOf });
    const changed = (key: InstanceKey, pin: Pin) => this.#announce(key, pin);
    const pins = new PinKeeper({ store, clock, random, over: lease.over, changed });
    const instances = this.#instances;
    this.#leaving = new Leaving({ clock, pools: this.#pools, pins, objects, instances });
    const shared = { bootId, clock, log: deps.log, wheel: this.#wheel, pins, instances, leaving: this.#leaving };
    const own = { store, clock, random, mayRun: this.#mayRun };
    this.#sessions = sandboxes && new Sessions({ ...shared, store: store.pins, sandboxes });
    const placing = {
      ...{ bootId, clock, isolation: config.isolation, pools: this.#pools, classes: new ClassLoader(store) },
      ...{ secrets: secretsOf(bootId, transport), workerId, address, capabilities: this.#capabilities },
      mayRun: this.#mayRun,
      mayPlace: () => this.refusing === null,
      recentFiles: this.#recentFiles,
    };
    const keys = () => this.#capabilities.keys;
    const leases = { leases: store.leases, leaseTimes: config.leaseTimes, over: lease.over };
    this.#loans = new Loans({ ...placing, ...leases, transport, keys, eventsOf, deadline: () => lease.deadline });
    this.#activator = new Activator({
      ...shared,
      ...placing,
      sessions: this.#sessions,
      spawned: { ...own, announce: ({ key, epoch }, ended) => this.#announce(key, { epoch, state: 'active' }, ended) },
      borrowing: this.#loans.borrowing,
      hostResources: () => this.#host,
    });
    this.#control = this.#listen();
    this.#heartbeat = new Heartbeat(config, { bus, clock, state: () => this.#state() });
    this.#pools.classes.fill();
    void this.#capabilities.keepFresh(lease.over);
    const expired = (): void => void this.#end('expired').catch(() => undefined); // told to whoever stops it
    lease.over.addEventListener('abort', expired, { once: true });
    // A watchdog that took too long to start: nobody is told any more.
    if (!lease.mayRun()) expired();
  }

  /** Aborted, with a `LeaseEnd` as its reason, when this boot is over. */
  get over(): AbortSignal {
    return this.#lease.over;
  }

  /** Why it takes no placements; null where it does. */
  get refusing(): 'draining' | 'fenced' | null {
    if (this.#draining !== null) return 'draining';
    return this.#lease.mayRun() ? null : 'fenced';
  }

  get gauges(): WorkerGauges {
    return {
      instances: this.#instances.size,
      containers: this.#pools.classes.containers,
      sandboxes: this.#pools.sandboxes?.containers ?? 0,
      clients: this.#links.sessionCount,
      leaseAgeMs: this.#lease.ageMs,
    };
  }

  /** Tells the store what runs here (S10). @throws Unavailable */
  async attest(): Promise<void> {
    await attestAll({ pins: this.#deps.store.pins, instances: this.#instances, mayRun: this.#mayRun });
  }

  /** A client's stream. */
  accept(channel: Channel): void {
    this.#links.accept(channel);
  }

  /** Places nothing any more and releases every instance; resolves with how many left. The successor never starts first (C10). */
  drain(): Promise<number> {
    // A turn later: by then whoever asks, and the heartbeat, sees that it drains.
    this.#draining ??= Promise.resolve().then(() => this.#releaseAll());
    return this.#draining;
  }

  /** A clean end: drained, containers gone, lease released. @throws VolumeUnavailable where a commit takes too long */
  async stop(): Promise<void> {
    await this.drain();
    await this.#end('stopped');
  }

  /** An end without ceremony, as if the process had been killed: no `exit` hooks, pins stay as they are. */
  async abandon(): Promise<void> {
    await this.#end('stopped');
  }

  async #releaseAll(): Promise<number> {
    this.#heartbeat.beat();
    const [left] = await Promise.all([this.#leaving.releaseAll('drain'), this.#activator.decided()]);
    // Those that were already on their way here; none have come since.
    const [leftLater] = await Promise.all([this.#leaving.releaseAll('drain'), this.#loans.lending.recall()]);
    this.#heartbeat.beat();
    return left + leftLater;
  }

  #end(why: LeaseEnd): Promise<void> {
    this.#lease.end(why);
    this.#ending ??= this.#tearDown();
    return this.#ending;
  }

  /** Nothing may be answered or run from here on: the containers die now, and not only by the watchdog. */
  async #tearDown(): Promise<void> {
    for (const instance of this.#instances.values()) {
      instance.leave('moving');
      instance.gone();
    }
    this.#instances.clear();
    this.#control.unsubscribe();
    this.#links.close();
    this.#wheel.clear();
    this.#loans.close();
    const closed = this.#pools.close(this.#deps.clock);
    await Promise.allSettled([this.#heartbeat.stop(), this.#lease.ended(), closed]);
    await this.#sandboxes?.close();
    await this.#watchdog.stop().catch(() => undefined); // dead already: the lease ends by itself
    await closed;
  }

  #clientHost(): ClientHost {
    return {
      clock: this.#deps.clock,
      wheel: this.#wheel,
      mayAdmit: this.#mayRun,
      find: (key) => this.#instances.get(key),
      checkCapability: (bind) => this.#capabilities.check(bind),
      placements: this.#activator,
      countCall: (outcome) => this.#deps.metrics.countCall(outcome),
    };
  }

  #listen(): BusSubscription {
    const shared = { clock: this.#deps.clock, instances: this.#instances, logs: this.#logs };
    const control = new Control({
      ...shared,
      bootId: this.bootId,
      activator: this.#activator,
      alarms: new Alarms({ ...shared, store: this.#deps.store, mayRun: this.#mayRun }),
      leaving: this.#leaving,
      sessions: this.#sessions,
      drain: () => this.drain(),
    });
    const subject = workerControlSubject(this.#config.account, this.#config.workerId);
    return this.#deps.bus.subscribe(subject, (message) => void control.onMessage(message));
  }

  #announce(key: InstanceKey, { epoch, state }: Pick<Pin, 'epoch' | 'state'>, ended: readonly string[] = []): void {
    announcePin(this.#deps.bus, this.#config.account, { key, epoch, state, endedCalls: [...ended] });
  }

  #state(): WorkerHeartbeat {
    this.#host = this.#deps.hostResources(); // takes a quarter of a millisecond: not on the way of a name
    return describeWorker(this.#config, {
      bootId: this.bootId,
      state: this.refusing === null ? 'ready' : 'draining',
      instances: this.#instances.size,
      leaseAgeMs: this.#lease.ageMs,
      pools: this.#pools,
      sandboxIsolation: this.#sandboxes?.isolation ?? '',
      host: this.#host,
      recentFiles: this.#recentFiles,
    });
  }
}
