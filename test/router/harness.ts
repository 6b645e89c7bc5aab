import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDiskObjectStore } from '../../src/adapters/disk/disk-object-store.js';
import { createBusHub, type InProcessBus } from '../../src/adapters/embedded/in-process-bus.js';
import { createLmdbStore } from '../../src/adapters/embedded/lmdb-store.js';
import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';
import type { Logger } from '../../src/common/context.js';
import type { HoldfastError } from '../../src/common/errors.js';
import type { ClassManifest } from '../../src/common/manifest.js';
import type { Channel } from '../../src/common/ports/channel.js';
import type { Kms } from '../../src/common/ports/kms.js';
import type { ObjectStore } from '../../src/common/ports/object-store.js';
import type { Role, Store } from '../../src/common/ports/store.js';
import { createRouterParts, type RouterParts } from '../../src/router/router-parts.js';
import { ControlStream } from '../../src/router/service/control-stream.js';
import { encodeArgs } from '../../src/wire/codec/codec.js';
import { decodeError } from '../../src/wire/errors.js';
import type { WorkerHeartbeat } from '../../src/wire/gen/holdfast/v1/bus.js';
import {
  type CloseReply,
  ControlBatch,
  ControlReplyBatch,
  type ControlRequest,
  type GrantView,
  type PinView,
} from '../../src/wire/gen/holdfast/v1/router.js';
import { createChannelPair } from '../../src/wire/link/channel-pair.js';
import { BusWorker, classManifest } from './bus-worker.js';

export const account = 'acme';
const ignore = (): void => undefined;
export const quietLog: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/** Short enough that a test can watch a lease end, long enough for a busy machine. */
export const shortLeases = {
  ttlMs: 2_000,
  renewEveryMs: 133,
  fenceAfterMs: 1_467,
  graceMs: 150,
  storeTimeoutMs: 400,
};

/** Routers (without their gRPC servers) and workers in one process, over a real store and bus. */
export class Harness implements AsyncDisposable {
  readonly store: Store;
  readonly objects: ObjectStore;
  readonly hub = createBusHub({ clock: systemClock });
  readonly routers: RouterParts[] = [];
  readonly workers: BusWorker[] = [];
  readonly #folder: string;
  readonly #buses: InProcessBus[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
    this.store = createLmdbStore({ path: join(folder, 'store'), clock: systemClock });
    this.objects = createDiskObjectStore({ folder: join(folder, 'objects') });
  }

  static async start(
    options: { classes?: readonly ClassManifest[]; routers?: number; workers?: number } = {},
  ): Promise<Harness> {
    const harness = new Harness(await mkdtemp(join(tmpdir(), 'holdfast-router-')));
    await harness.publish(options.classes ?? [classManifest('Counter')]);
    for (let i = 0; i < (options.workers ?? 1); i++) await harness.addWorker();
    for (let i = 0; i < (options.routers ?? 1); i++) harness.addRouter();
    return harness;
  }

  async publish(classes: readonly ClassManifest[]): Promise<void> {
    const manifest = {
      app: 'shop',
      tags: [],
      metadata: {},
      classes: Object.fromEntries(classes.map((one) => [one.name, one])),
    };
    await this.store.apps.publish({
      account,
      app: 'shop',
      bundleSha256: 'b'.repeat(64),
      createdAtMs: Date.now(),
      manifest,
    });
  }

  addRouter(overrides: { store?: Store; accounts?: readonly string[]; kms?: Kms } = {}): RouterParts {
    const router = createRouterParts({
      routerId: `router-${this.routers.length}`,
      accounts: [account],
      store: this.store,
      bus: this.connect(),
      objects: this.objects,
      kms: null,
      clock: systemClock,
      random: systemRandom,
      log: quietLog,
      leaseTimes: shortLeases,
      metrics: null,
      ...overrides,
    });
    this.routers.push(router);
    return router;
  }

  connect(): InProcessBus {
    const bus = this.hub.connect();
    this.#buses.push(bus);
    return bus;
  }

  async addWorker(options: { heartbeat?: Partial<WorkerHeartbeat> } = {}): Promise<BusWorker> {
    const worker = await BusWorker.start({
      account,
      workerId: `w${this.workers.length}`,
      bus: this.connect(),
      store: this.store,
      leaseTtlMs: shortLeases.ttlMs,
      ...(options.heartbeat === undefined ? {} : { heartbeat: options.heartbeat }),
    });
    this.workers.push(worker);
    return worker;
  }

  client(router = this.routers[0] as RouterParts, role: Role = 'call'): ControlClient {
    return ControlClient.of(router, role);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const router of this.routers) router.close();
    await Promise.all(this.workers.map((worker) => worker.die()));
    await Promise.all(this.#buses.map((bus) => bus.close()));
    await this.store.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** The error that the promise rejects with. */
export function refusal(asked: Promise<unknown>): Promise<HoldfastError> {
  return asked.then(
    (value) => {
      throw new Error(`expected an error, got ${JSON.stringify(value)}`);
    },
    (error: HoldfastError) => error,
  );
}

type Op = NonNullable<ControlRequest['op']>;
type Answer = PinView | CloseReply | GrantView;

/** A client's end of a control stream. */
export class ControlClient {
  readonly #channel: Channel;
  readonly #waiting = new Map<number, { resolve: (value: Answer) => void; reject: (error: HoldfastError) => void }>();
  #nextId = 1;
  readonly ended: Promise<Error | null>;
  /** Messages of answers that came. */
  batches = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.ended = new Promise((resolve) => {
      channel.open({
        onMessage: (message) => this.#onReplies(message),
        onDrain: () => undefined,
        onClosed: resolve,
      });
    });
  }

  /** Straight into a router's control stream, without gRPC and tokens. */
  static of(router: RouterParts, role: Role): ControlClient {
    const { left, right } = createChannelPair();
    const client = new ControlClient(left);
    const end = {
      principal: { kind: 'client' as const, account, role },
      authenticate: async () => undefined,
      onEnded: () => undefined,
    };
    new ControlStream({ ...router, operations: router }, end, right);
    return client;
  }

  sendRaw(bytes: Uint8Array): void {
    this.#channel.send(bytes);
  }

  close(): void {
    this.#channel.close();
  }

  /** The request's id, to cancel it by. */
  get lastId(): number {
    return this.#nextId - 1;
  }

  cancel(requestId: number): void {
    this.sendRaw(
      ControlBatch.encode({
        closeError: Buffer.alloc(0),
        requests: [{ requestId: 0, traceparent: '', remainingMs: 0, op: { $case: 'cancel', value: requestId } }],
      }).finish(),
    );
  }

  ask(op: Op, remainingMs = 10_000): Promise<Answer> {
    const requestId = this.#nextId++;
    const answer = this.answerTo(requestId);
    this.sendRaw(
      ControlBatch.encode({
        closeError: Buffer.alloc(0),
        requests: [{ requestId, traceparent: '', remainingMs, op }],
      }).finish(),
    );
    return answer;
  }

  answerTo(requestId: number): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.set(requestId, { resolve, reject }));
  }

  /** @param args undefined: join whatever is there */
  create(id: string, args?: readonly unknown[], remainingMs?: number): Promise<PinView> {
    const encoded = args === undefined ? undefined : Buffer.from(encodeArgs(args));
    const value = { app: 'shop', className: 'Counter', id, args: encoded, sharedByArgs: false };
    return this.ask({ $case: 'create', value }, remainingMs) as Promise<PinView>;
  }

  resolve(view: PinView, options: { failedEpoch?: number; remainingMs?: number } = {}): Promise<PinView> {
    const { app = '', name = '', id = '', generation = 0 } = view.handle ?? {};
    const value = { app, className: name, id, generation, failedEpoch: options.failedEpoch ?? 0 };
    return this.ask({ $case: 'resolve', value }, options.remainingMs) as Promise<PinView>;
  }

  attach(handle: PinView['handle'], remainingMs?: number): Promise<PinView> {
    return this.ask({ $case: 'attach', value: { handle } }, remainingMs) as Promise<PinView>;
  }

  grant(className = 'Counter', remainingMs?: number): Promise<GrantView> {
    return this.ask({ $case: 'grant', value: { app: 'shop', className } }, remainingMs) as Promise<GrantView>;
  }

  closeNamed(
    id: string,
    options: { args?: readonly unknown[]; remainingMs?: number; force?: boolean } = {},
  ): Promise<CloseReply> {
    const args = options.args === undefined ? undefined : Buffer.from(encodeArgs(options.args));
    const target = { $case: 'instance' as const, value: { app: 'shop', className: 'Counter', id } };
    const value = { target, force: options.force ?? false, args };
    return this.ask({ $case: 'close', value }, options.remainingMs) as Promise<CloseReply>;
  }

  closeHandle(handle: PinView['handle'], remainingMs?: number): Promise<CloseReply> {
    if (handle === undefined) throw new Error('no handle');
    const value = { target: { $case: 'handle' as const, value: handle }, force: false, args: undefined };
    return this.ask({ $case: 'close', value }, remainingMs) as Promise<CloseReply>;
  }

  #onReplies(message: Uint8Array): void {
    this.batches += 1;
    for (const { requestId, result } of ControlReplyBatch.decode(message).replies) {
      const waiting = this.#waiting.get(requestId);
      this.#waiting.delete(requestId);
      if (result === undefined) throw new Error('an empty reply');
      if (result.$case === 'error') waiting?.reject(decodeError(result.value));
      else if (result.$case === 'spawned') throw new Error('nobody asked for a call');
      else waiting?.resolve(result.value);
    }
  }
}
