import { systemClock } from '../../src/adapters/system/clock.js';
import { type HoldfastError, isHoldfastError } from '../../src/common/errors.js';
import { type BootId, type InstanceKey, instanceKey, type WorkerId } from '../../src/common/ids.js';
import type { ClassManifest } from '../../src/common/manifest.js';
import { type Pin, type PinState, pinChange } from '../../src/common/pin.js';
import type { Bus, BusMessage, BusSubscription } from '../../src/common/ports/bus.js';
import type { Store } from '../../src/common/ports/store.js';
import { encodeError } from '../../src/wire/errors.js';
import {
  type PlaceReply,
  WorkerControl,
  WorkerControlReply,
  WorkerHeartbeat,
} from '../../src/wire/gen/holdfast/v1/bus.js';
import { decodePin } from '../../src/wire/pin-record.js';
import { heartbeatRequestSubject, heartbeatSubject, workerControlSubject } from '../../src/wire/subjects.js';

type Result = NonNullable<WorkerControlReply['result']>;

export interface BusWorkerOptions {
  readonly account: string;
  readonly workerId: string;
  readonly bus: Bus;
  readonly store: Store;
  readonly leaseTtlMs: number;
  readonly heartbeat?: Partial<WorkerHeartbeat>;
}

let boots = 0;

/**
 * The control side of a worker that runs no code: it holds a lease, tells of itself, takes and ends instances by the rules
 * of the place protocol (S5), and can be made to refuse, to fall silent and to die.
 */
export class BusWorker {
  readonly workerId: WorkerId;
  readonly bootId: BootId;
  /** Every activation, in order. */
  readonly activated: Pin[] = [];
  /** Keys of sessions that it was told to forget. */
  readonly forgotten: string[] = [];
  /** `key epoch id` of alarms that it was told of. */
  readonly rung: string[] = [];
  /** `key epoch` of instances with whose spawned calls it was told to go on. */
  readonly resumed: string[] = [];
  /** `key epoch id` of spawned calls that it was told to cancel. */
  readonly cancelled: string[] = [];
  /** Place requests that reached it, joined ones included. */
  placeRequests = 0;
  /** Why it refuses to take an instance; null: it takes it. */
  refuse: (pin: Pin) => HoldfastError | null = () => null;
  /** Awaited before a place request is looked at. */
  beforePlace: (pin: Pin) => Promise<void> = async () => undefined;
  /** Awaited while an instance is `closing` or `draining`. */
  beforeEnd: () => Promise<void> = async () => undefined;
  heartbeatState: Partial<WorkerHeartbeat>;
  isSilent = false;
  /** Resolves at the first place request. */
  readonly placeReached: Promise<void>;
  #placeReached: () => void = () => undefined;
  readonly #options: BusWorkerOptions;
  readonly #instances = new Map<InstanceKey, Pin>();
  #control: BusSubscription | null = null;
  readonly #subscriptions: BusSubscription[] = [];
  readonly #ended = new AbortController();
  readonly #beats = new AbortController();
  readonly #placing = new Map<string, Promise<PlaceReply>>();
  #loops: Promise<void>[] = [];

  private constructor(options: BusWorkerOptions) {
    this.#options = options;
    this.workerId = options.workerId as WorkerId;
    this.bootId = `boot-${options.workerId}-${++boots}` as BootId;
    this.heartbeatState = options.heartbeat ?? {};
    this.placeReached = new Promise((resolve) => {
      this.#placeReached = resolve;
    });
  }

  static async start(options: BusWorkerOptions): Promise<BusWorker> {
    const worker = new BusWorker(options);
    const { account, bus, store, leaseTtlMs } = options;
    const { bootId, workerId, address } = worker;
    await store.leases.create({ bootId, workerId, account, address }, leaseTtlMs);
    worker.listen();
    worker.#subscriptions.push(bus.subscribe(heartbeatRequestSubject(account), () => worker.beat()));
    worker.#loops = [
      worker.#every(leaseTtlMs / 4, worker.#ended.signal, async () => {
        await store.leases.renew(bootId, leaseTtlMs).catch((error: unknown) => {
          // The next renewal is soon, as a worker's is.
          if (!isHoldfastError(error) || !error.retryable) throw error;
        });
      }),
      worker.#every(250, worker.#beats.signal, async () => worker.beat()),
    ];
    return worker;
  }

  get address(): string {
    return `${this.workerId}.test:1`;
  }

  get held(): readonly Pin[] {
    return [...this.#instances.values()];
  }

  beat(): void {
    if (this.#beats.signal.aborted) return;
    const { account, bus } = this.#options;
    const beat = WorkerHeartbeat.encode({
      workerId: this.workerId,
      bootId: this.bootId,
      address: this.address,
      state: 'ready',
      instances: this.#instances.size,
      containers: this.#instances.size,
      maxContainers: 1_000_000,
      offerJson: '{}',
      cpuCores: 1_000_000,
      freeMemoryMb: 1_000_000_000,
      freeGpus: 0,
      recentFiles: [],
      leaseAgeMs: 0,
      openPlaces: {},
      isolation: 'process',
      sandboxes: 0,
      maxSandboxes: 0,
      sandboxIsolation: '',
      sandboxLack: '',
      ...this.heartbeatState,
    }).finish();
    bus.publish(heartbeatSubject(account, this.workerId), beat);
  }

  listen(): void {
    const { account, bus } = this.#options;
    const subject = workerControlSubject(account, this.workerId);
    this.#control = bus.subscribe(subject, (message) => void this.#onControl(message));
  }

  /** As a worker that the bus does not reach: requests find nobody. */
  deafen(): void {
    this.#control?.unsubscribe();
  }

  /** Heartbeats stop; all else goes on. */
  stopBeating(): void {
    this.#beats.abort();
  }

  /** As a killed process: no answers, no heartbeats, no renewals; the lease is left to expire. */
  async die(): Promise<void> {
    this.#ended.abort();
    this.#beats.abort();
    this.deafen();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await Promise.all(this.#loops);
  }

  /** What the watchdog does when it has seen the containers dead. */
  async releaseLease(): Promise<void> {
    await this.#options.store.leases.release(this.bootId);
  }

  /** Drains one instance to `idle`, as a redeploy or its own sleep does. */
  async release(key: string, epoch: number): Promise<void> {
    const { closed } = await this.#end({ key, epoch }, ['draining', 'idle']);
    if (!closed) throw new Error(`${this.workerId} does not have ${key} at epoch ${epoch}`);
  }

  async #every(ms: number, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await task();
      await systemClock.sleep(ms, signal).catch(() => undefined);
    }
  }

  async #onControl(message: BusMessage): Promise<void> {
    if (this.isSilent) return;
    let result: Result;
    try {
      result = await this.#answer(WorkerControl.decode(message.payload));
    } catch (error) {
      result = { $case: 'error', value: Buffer.from(encodeError(error)) };
    }
    if (!this.#ended.signal.aborted) message.respond(WorkerControlReply.encode({ result }).finish());
  }

  async #answer({ bootId, op }: WorkerControl): Promise<Result> {
    if (bootId !== this.bootId) return { $case: 'wrongBoot', value: true };
    switch (op?.$case) {
      case 'place': {
        const replies = await Promise.all(
          op.value.instances.map(({ pin, key, epoch }) =>
            pin.length === 0 ? this.#isActive(key, epoch) : this.#place(decodePin(pin)),
          ),
        );
        return { $case: 'place', value: { replies } };
      }
      case 'close':
        return { $case: 'close', value: await this.#end(op.value, ['closing', 'closed']) };
      case 'release':
        return { $case: 'release', value: { released: (await this.#end(op.value, ['draining', 'idle'])).closed } };
      case 'describe':
        return { $case: 'describe', value: { instances: op.value.keys.flatMap((key) => this.#describe(key)) } };
      case 'drain':
        return { $case: 'drain', value: { drained: this.#instances.size } };
      case 'forget':
        this.forgotten.push(op.value.key);
        return { $case: 'forget', value: {} };
      case 'ring':
        this.rung.push(`${op.value.key} ${op.value.epoch} ${op.value.id}`);
        return { $case: 'ring', value: {} };
      case 'resumeCalls': {
        this.resumed.push(`${op.value.key} ${op.value.epoch}`);
        return { $case: 'resumeCalls', value: { resumed: this.#isHere(op.value) } };
      }
      case 'cancelSpawned':
        this.cancelled.push(`${op.value.key} ${op.value.epoch} ${op.value.id}`);
        return { $case: 'cancelSpawned', value: { outcome: this.#isHere(op.value) ? 'never-ran' : '' } };
      case 'tailLogs':
        return { $case: 'tailLogs', value: { lines: [] } };
      default:
        throw new Error('an empty control message');
    }
  }

  #isHere({ key, epoch }: { readonly key: string; readonly epoch: number }): boolean {
    return this.held.some((pin) => instanceKey(pin.identity) === key && pin.epoch === epoch);
  }

  #isActive(key: string, epoch: number): PlaceReply {
    const isHere = this.#instances.get(key as InstanceKey)?.epoch === epoch;
    return { result: isHere ? { $case: 'active', value: true } : undefined };
  }

  /** The same request again joins the one under way. */
  #place(pin: Pin): Promise<PlaceReply> {
    this.placeRequests += 1;
    this.#placeReached();
    const key = `${instanceKey(pin.identity)} ${pin.epoch}`;
    const underway = this.#placing.get(key);
    if (underway !== undefined) return underway;
    const placing = this.#activate(pin).finally(() => this.#placing.delete(key));
    this.#placing.set(key, placing);
    return placing;
  }

  async #activate(pin: Pin): Promise<PlaceReply> {
    await this.beforePlace(pin);
    const refusal = this.refuse(pin);
    if (refusal !== null) return refusedWith(refusal);
    const key = instanceKey(pin.identity);
    if (this.#instances.get(key)?.epoch === pin.epoch) return { result: { $case: 'active', value: true } };
    const active = await this.#change(pin, 'active');
    if (active === null) return refusedWith(new Error('the pin is elsewhere'));
    this.#instances.set(key, active);
    this.activated.push(active);
    return { result: { $case: 'active', value: true } };
  }

  async #end({ key, epoch }: { key: string; epoch: number }, through: readonly [PinState, PinState]) {
    const pin = this.#instances.get(key as InstanceKey);
    const none = { closed: false, alreadyClosed: false, exitHook: 'none' };
    if (pin?.epoch !== epoch) return none;
    const leaving = await this.#change(pin, through[0]);
    if (leaving === null) return none;
    await this.beforeEnd();
    if (this.#ended.signal.aborted) return none;
    await this.#change(leaving, through[1]);
    this.#instances.delete(key as InstanceKey);
    return { closed: true, alreadyClosed: false, exitHook: 'ran' };
  }

  #describe(key: string) {
    const pin = this.#instances.get(key as InstanceKey);
    if (pin === undefined) return [];
    return [{ key, epoch: pin.epoch, running: 1, pending: 2, lastCallAtMs: 5, phasesMs: { enter: 7 } }];
  }

  async #change(pin: Pin, to: PinState): Promise<Pin | null> {
    const opId = `${this.bootId}-${Math.random().toString(36).slice(2)}`;
    const change = pinChange(pin, to, { opId, why: 'worker', atMs: Date.now() });
    const result = await this.#options.store.pins.change(instanceKey(pin.identity), change);
    return result.applied ? result.pin : null;
  }
}

function refusedWith(error: Error): PlaceReply {
  return { result: { $case: 'refused', value: Buffer.from(encodeError(error)) } };
}

/** A class manifest with the defaults of the SDK. */
/** A sandbox under the name that the harness's client uses. */
export function sandboxManifest(options: Partial<ClassManifest['options']> = {}): ClassManifest {
  const resolved = classManifest('Counter', { isolation: 'bubblewrap', onLoss: 'fail', ...options });
  return { ...resolved, kind: 'sandbox' };
}

export function classManifest(name: string, options: Partial<ClassManifest['options']> = {}): ClassManifest {
  return {
    kind: 'class',
    name,
    exportName: name,
    options: {
      cpu: 1,
      memoryMb: 1_024,
      timeoutMs: 600_000,
      retries: { maxRetries: 0, initialDelayMs: 1_000, backoffCoefficient: 2, maxDelayMs: 60_000 },
      concurrentRequests: 1,
      maxPendingTasks: 100,
      tasksPerContainer: 1,
      startupTimeoutMs: 60_000,
      exitTimeoutMs: 30_000,
      idleTimeoutMs: null,
      isolation: null,
      onLoss: null,
      placement: {},
      secrets: [],
      tags: [],
      metadata: {},
      ...options,
    },
    methods: {},
    parameters: [],
    signature: null,
    enterHooks: [],
    exitHooks: [],
  };
}
