import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDiskObjectStore } from '../../src/adapters/disk/disk-object-store.js';
import { createBusHub, type InProcessBus } from '../../src/adapters/embedded/in-process-bus.js';
import { createLmdbStore } from '../../src/adapters/embedded/lmdb-store.js';
import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';
import { silentLog } from '../../src/cli/parts/silent-log.js';
import type { Monotonic } from '../../src/common/clock.js';
import type { Logger } from '../../src/common/context.js';
import type { HoldfastError } from '../../src/common/errors.js';
import { type BootId, type InstanceKey, instanceKey, type WorkerId } from '../../src/common/ids.js';
import { defaultLeaseTimes } from '../../src/common/lease.js';
import type { ClassManifest, ClassOptions, MethodManifest } from '../../src/common/manifest.js';
import { resolveClassOptions } from '../../src/common/options.js';
import type { Pin } from '../../src/common/pin.js';
import type { Bus } from '../../src/common/ports/bus.js';
import type { Transport } from '../../src/common/ports/channel.js';
import type { ObjectStore } from '../../src/common/ports/object-store.js';
import type { SigningKey, Store } from '../../src/common/ports/store.js';
import type { Watchdog } from '../../src/common/ports/watchdog.js';
import { BundleCache } from '../../src/runtime/hosting/bundle-cache.js';
import { createWorkerMetrics } from '../../src/runtime/metrics.js';
import { Worker } from '../../src/runtime/worker.js';
import type { WorkerConfig } from '../../src/runtime/worker-options.js';
import { type Capability, hashPin, mintCapability } from '../../src/wire/capability.js';
import { encodeArgs, hashArgs } from '../../src/wire/codec/codec.js';
import { decodeError } from '../../src/wire/errors.js';
import type { BindBody } from '../../src/wire/frames/frames.js';
import { type InstanceLoad, WorkerControl, WorkerControlReply } from '../../src/wire/gen/holdfast/v1/bus.js';
import type { CloseReply } from '../../src/wire/gen/holdfast/v1/router.js';
import { encodePin } from '../../src/wire/pin-record.js';
import { workerControlSubject } from '../../src/wire/subjects.js';
import { ManualClock } from '../manual-clock.js';
import { ScriptedClient } from './scripted-client.js';
import { type ScriptedContainer, ScriptedStarter } from './scripted-container.js';
import { until } from './until.js';

const account = 'default';
const app = 'demo';
const workerId = 'w1' as WorkerId;

type Op = NonNullable<WorkerControl['op']>;

export interface ClassSetup {
  readonly options?: Partial<ClassOptions>;
  readonly exitHooks?: readonly string[];
  readonly alarm?: string;
}

/** Stands for the process: it releases the lease at `stop` as that does. */
export class ScriptedWatchdog implements Watchdog {
  readonly died: Promise<void>;
  readonly #store: Store;
  readonly #bootId: BootId;
  deadline: Monotonic;
  stops = 0;
  #die: () => void = () => undefined;

  constructor(store: Store, bootId: BootId, deadline: Monotonic) {
    this.#store = store;
    this.#bootId = bootId;
    this.deadline = deadline;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  async guard(): Promise<void> {
    // Nothing to guard: scripted containers are no processes.
  }

  release(): void {
    // As above.
  }

  extend(deadline: Monotonic): void {
    this.deadline = deadline;
  }

  async stop(): Promise<void> {
    this.stops += 1;
    await this.#store.leases.release(this.#bootId);
    this.#die();
  }

  die(): void {
    this.#die();
  }
}

interface Made {
  readonly pin: Pin & { readonly key: InstanceKey };
  readonly client: ScriptedClient;
  readonly container: ScriptedContainer;
}

export interface WorldHooks {
  /** Takes the place of the store that the worker has; the world itself uses the one below. */
  readonly storeOf?: (store: Store) => Store;
  readonly objectsOf?: (objects: ObjectStore) => ObjectStore;
  readonly busOf?: (bus: Bus) => Bus;
  readonly onWatchdog?: (watchdog: ScriptedWatchdog, clock: ManualClock) => void;
  readonly config?: Partial<WorkerConfig>;
  readonly transport?: (keys: readonly SigningKey[]) => Transport;
  readonly freeMemoryMb?: () => number;
}

/** One worker with real stores, in this process; its containers are scripts, its time stands still. */
export class WorkerWorld implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly starter = new ScriptedStarter();
  readonly hub = createBusHub({ clock: systemClock, onError: (error) => this.busErrors.push(error) });
  readonly busErrors: unknown[] = [];
  readonly metrics = createWorkerMetrics();
  /** What the worker has told whoever runs it: events with their fields. */
  readonly told: { readonly event: string; readonly fields: object }[] = [];
  readonly log: Logger = { ...silentLog, warn: (event, fields = {}) => void this.told.push({ event, fields }) };
  readonly store: Store;
  readonly objects: ObjectStore;
  readonly folder: string;
  readonly #hooks: WorldHooks;
  readonly #routerBus: InProcessBus;
  readonly #clients: ScriptedClient[] = [];
  readonly #versions = new Map<string, number>();
  #worker: Worker | null = null;
  #watchdog: ScriptedWatchdog | null = null;
  #key: SigningKey | null = null;

  static async start(hooks: WorldHooks = {}): Promise<WorkerWorld> {
    const world = new WorkerWorld(await mkdtemp(join(tmpdir(), 'holdfast-worker-')), hooks);
    try {
      await world.#start();
    } catch (e) {
      await world[Symbol.asyncDispose]();
      throw e;
    }
    return world;
  }

  private constructor(folder: string, hooks: WorldHooks) {
    this.folder = folder;
    this.#hooks = hooks;
    this.store = createLmdbStore({ path: join(folder, 'store'), clock: this.clock });
    this.objects = createDiskObjectStore({ folder: join(folder, 'objects') });
    this.#routerBus = this.hub.connect();
  }

  async #start(): Promise<void> {
    const { store, objects, clock } = this;
    this.#worker = await Worker.start(
      {
        workerId,
        account,
        address: 'w1.test:1',
        offer: {},
        isolation: 'process',
        maxContainers: 10,
        warmContainers: 0,
        maxSandboxes: 0,
        warmSandboxes: 0,
        sandboxLack: 'this test has none',
        containerEnv: {},
        leaseTimes: defaultLeaseTimes,
        ...this.#hooks.config,
      },
      {
        store: this.#hooks.storeOf?.(store) ?? store,
        objects: this.#hooks.objectsOf?.(objects) ?? objects,
        bundles: new BundleCache(join(this.folder, 'bundles'), this.#hooks.objectsOf?.(objects) ?? objects),
        bus: this.#hooks.busOf?.(this.hub.connect()) ?? this.hub.connect(),
        clock,
        random: systemRandom,
        metrics: this.metrics,
        log: this.log,
        startWatchdog: async (bootId, deadline) => {
          this.#watchdog = new ScriptedWatchdog(store, bootId, deadline);
          this.#hooks.onWatchdog?.(this.#watchdog, clock);
          return this.#watchdog;
        },
        starterOf: () => this.starter,
        sandboxPlatform: () => null,
        transport:
          this.#hooks.transport ??
          (() => {
            throw new Error('this test has no router');
          }),
        hostResources: () => ({ cpuCores: 4, freeMemoryMb: this.#hooks.freeMemoryMb?.() ?? 4_096 }),
      },
    );
    const unused = { id: 'unused', secret: new Uint8Array(32), createdAtMs: 0 };
    [this.#key = null] = await store.keys.signingKeys(account, unused);
  }

  get worker(): Worker {
    return this.#worker as Worker;
  }

  get watchdog(): ScriptedWatchdog {
    return this.#watchdog as ScriptedWatchdog;
  }

  get bus(): InProcessBus {
    return this.#routerBus;
  }

  /** Publishes the class, once. */
  async deploy(className: string, setup: ClassSetup = {}): Promise<number> {
    const known = this.#versions.get(className);
    if (known !== undefined) return known;
    const bundle = Buffer.from(`// ${className}`);
    const bundleSha256 = createHash('sha256').update(bundle).digest('hex');
    await this.objects.put(`bundles/${bundleSha256}`, bundle);
    const { version } = await this.store.apps.publish({
      account,
      app,
      bundleSha256,
      createdAtMs: 1,
      manifest: { app, tags: [], metadata: {}, classes: { [className]: classManifest(className, setup) } },
    });
    this.#versions.set(className, version);
    return version;
  }

  /** Publishes the class again: instances that are made from now on are of this deployment. */
  async redeploy(className: string, setup: ClassSetup = {}): Promise<number> {
    this.#versions.delete(className);
    return this.deploy(className, setup);
  }

  /** Writes `placing` as a router does, for an id that is new or asleep. */
  async pinAt(
    className: string,
    id: string,
    fields: Partial<Pick<Pin, 'onLoss' | 'args'>> = {},
  ): Promise<Pin & { key: InstanceKey }> {
    const identity = { account, app, className, id };
    const key = instanceKey(identity);
    const before = await this.store.pins.get(key);
    const args = fields.args ?? encodeArgs([]);
    const { applied, pin } = await this.store.pins.change(key, {
      expect: before === null ? 'none' : { generation: before.generation, epoch: before.epoch, state: before.state },
      opId: `make-${Math.random()}`,
      epoch: 'next',
      generation: before === null ? 'epoch' : 'keep',
      fields: {
        identity,
        state: 'placing',
        workerId,
        bootId: this.worker.bootId,
        address: 'w1.test:1',
        deployment: await this.deploy(className),
        args,
        kind: 'class',
        tags: [],
        argsHash: hashArgs(args),
        onLoss: fields.onLoss ?? 'recreate',
        createdAtMs: 1,
        restarts: before?.restarts ?? 0,
        restarted: before?.restarted ?? false,
        isBrought: false,
        placement: null,
      },
      transitions: [],
      ttlMs: null,
    });
    if (!applied) throw new Error(`${id} is ${pin?.state} already`);
    return { ...pin, key };
  }

  /** The pin as it stands. */
  async pinNow(className: string, id: string): Promise<Pin & { key: InstanceKey }> {
    const key = instanceKey({ account, app, className, id });
    const pin = await this.store.pins.get(key);
    if (pin === null) throw new Error(`${id} has no pin`);
    return { ...pin, key };
  }

  /** What a place request for that pin is answered with: null, or the refusal. */
  async place(...pins: readonly Pin[]): Promise<(HoldfastError | null)[]> {
    const reply = await this.ask({
      $case: 'place',
      value: {
        instances: pins.map((pin) => ({ pin: encodePin(pin), key: instanceKey(pin.identity), epoch: pin.epoch })),
      },
    });
    if (reply.$case !== 'place') throw new Error(`placing was answered with ${reply.$case}`);
    return reply.value.replies.map(({ result }) =>
      result?.$case === 'refused' ? decodeError(result.value) : result?.$case === 'active' ? null : impossible(),
    );
  }

  /** Makes an instance and places it, with its own client bound to slot 1. */
  async instance(
    className: string,
    id: string,
    fields: Partial<Pick<Pin, 'onLoss' | 'args'>> = {},
  ): Promise<{ pin: Pin & { key: InstanceKey }; client: ScriptedClient }> {
    const pin = await this.pinAt(className, id, fields);
    const [refusal] = await this.place(pin);
    if (refusal) throw refusal;
    const client = this.client();
    client.bind(1, this.bound(pin));
    return { pin, client };
  }

  /** As `instance`, and its `enter` has reached the container, the newest one. */
  async entering(className: string, id: string): Promise<Made> {
    const made = await this.instance(className, id);
    const isIn = (container: ScriptedContainer): boolean => [...container.slots.values()].includes(id);
    await until(() => this.starter.started.some(isIn));
    return { ...made, container: this.starter.started.findLast(isIn) as ScriptedContainer };
  }

  /** As `entering`, and it is alive. */
  async alive(className: string, id: string): Promise<Made> {
    const made = await this.entering(className, id);
    while ((await this.#load(made.pin))?.phasesMs['activate'] === undefined);
    return made;
  }

  client(): ScriptedClient {
    const client = new ScriptedClient((channel) => this.worker.accept(channel));
    this.#clients.push(client);
    return client;
  }

  /** What a client says of an instance when it binds it; `brings`: with its pin, as of one that is `placing`. */
  bound(
    pin: Pin & { key: InstanceKey },
    { brings = false, of = {} }: { readonly brings?: boolean; readonly of?: Partial<Capability> } = {},
  ): BindBody {
    const { key, generation, epoch } = pin;
    const record = encodePin(pin);
    const capability = mintCapability(this.#key as SigningKey, {
      account,
      instanceKey: key,
      generation,
      epoch,
      role: 'call',
      expiresAtMs: this.clock.now() + 86_400_000,
      pinHash: brings ? hashPin(record) : null,
      ...of,
    });
    return { key, generation, epoch, capability, ...(brings ? { pin: record } : {}) };
  }

  async close(pin: Pin, options: { force?: boolean; timeoutMs?: number } = {}): Promise<CloseReply> {
    const value = {
      key: instanceKey(pin.identity),
      epoch: pin.epoch,
      force: options.force ?? false,
      timeoutMs: options.timeoutMs ?? 0,
    };
    const reply = await this.ask({ $case: 'close', value });
    if (reply.$case === 'error') throw decodeError(reply.value);
    if (reply.$case !== 'close') throw new Error(`closing was answered with ${reply.$case}`);
    return reply.value;
  }

  async describe(pin: Pin): Promise<{ running: number; pending: number } | null> {
    const load = await this.#load(pin);
    return load === undefined ? null : { running: load.running, pending: load.pending };
  }

  /** Resolves when that many calls of the instance have a slot. */
  async runs(pin: Pin, running: number): Promise<void> {
    while ((await this.describe(pin))?.running !== running);
  }

  /** Resolves when that many wait. */
  async waits(pin: Pin, pending: number): Promise<void> {
    while ((await this.describe(pin))?.pending !== pending);
  }

  async stateOf(pin: Pin): Promise<string> {
    return (await this.store.pins.get(instanceKey(pin.identity)))?.state ?? 'none';
  }

  async stateBecomes(pin: Pin, state: string): Promise<void> {
    while ((await this.stateOf(pin)) !== state) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Time passes in steps, so that loops that sleep keep up; the lease is renewed on the way. */
  async pass(ms: number, stepMs = 1_000): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      const before = this.watchdog.deadline;
      this.clock.advance(Math.min(left, stepMs));
      if (stepMs >= 1_000 && !this.worker.over.aborted) {
        await until(() => {
          // What it sleeps for can be due already.
          this.clock.advance(0);
          return this.watchdog.deadline > before || this.worker.over.aborted;
        });
      }
    }
  }

  async ask(op: Op): Promise<NonNullable<WorkerControlReply['result']>> {
    const request = WorkerControl.encode({ bootId: this.worker.bootId, op }).finish();
    const answer = await this.#routerBus.request(workerControlSubject(account, workerId), request, {
      timeoutMs: 30_000,
    });
    const { result } = WorkerControlReply.decode(answer);
    return result ?? impossible();
  }

  async #load(pin: Pin): Promise<InstanceLoad | undefined> {
    const reply = await this.ask({ $case: 'describe', value: { keys: [instanceKey(pin.identity)] } });
    if (reply.$case !== 'describe') throw new Error(`describing was answered with ${reply.$case}`);
    return reply.value.instances[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.#worker?.abandon().catch(() => undefined); // told to whoever ended it before
    await this.store.close();
    // A bundle may just be on its way into the folder.
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 });
  }
}

function impossible(): never {
  throw new Error('an answer without a result');
}

function methodOf(name: string, fields: Partial<MethodManifest> = {}): [string, MethodManifest] {
  return [
    name,
    {
      name,
      generator: false,
      parameters: [],
      tags: [],
      metadata: {},
      idempotent: false,
      concurrent: false,
      ...fields,
    },
  ];
}

function classManifest(name: string, { options = {}, exitHooks = [], alarm }: ClassSetup): ClassManifest {
  return {
    kind: 'class',
    name,
    exportName: name,
    options: { ...resolveClassOptions(name), ...options },
    methods: Object.fromEntries([
      methodOf('work'),
      methodOf('look', { concurrent: true }),
      methodOf('count', { generator: true }),
      methodOf('redo', { idempotent: true }),
    ]),
    parameters: [],
    signature: null,
    enterHooks: [],
    exitHooks,
    alarm,
  };
}
