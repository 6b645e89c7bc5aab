import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { TimerWheel } from '../../common/timer-wheel.js';
import {
  type GrantOp,
  type GrantView,
  LookupRequest,
  type SpawnedView,
  Deployment as WireDeployment,
} from '../../wire/gen/holdfast/v1/router.js';
import { ClientLink } from '../../wire/link/link.js';
import { type CallLimits, during, Limits } from '../calls/call-limits.js';
import { InstanceTarget, type ResolveOptions, type TargetHost } from '../calls/instance-target.js';
import { type BoundSlot, type Placement, placementOf } from '../calls/placement.js';
import { Deployments } from '../classes/deployments.js';
import { type ClientTransport, keptAlive, type StreamLimits } from './client-transport.js';
import { GrantedNames } from './granted-names.js';
import { KeepAlive } from './keep-alive.js';
import { inherited, lessFor, requestOptions, withOuterSignal } from './request-options.js';
import { type ControlOp, cannotServe } from './router-errors.js';
import { type RequestOptions, RouterSession } from './router-session.js';
import { SpawnedWaits, type WaitLimits } from './spawned-waits.js';
import { WorkerSession } from './worker-session.js';

/** What a client is made of. */
export interface ClientParts {
  readonly transport: ClientTransport;
  /** `host:port` of the router, or of several, separated by commas; for messages. */
  readonly endpoint: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves when tracing is on; null: it stays off. */
  readonly tracing?: Promise<void> | null;
}

/** As the generated code has them. */
interface MessageType<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** A request with the types of its messages. */
interface Unary<Q, R> {
  readonly request: Q;
  readonly of: MessageType<Q>;
  readonly reply: MessageType<R>;
}

const wheelTickMs = 10;
/** Asked for ahead: later it is of no use. */
const grantWithinMs = 1_000;
const unaryTimeoutMs = 30_000;
/** Questions are asked again while no router answers: one may just be restarting. */
const patienceMs = 5_000;
const longestBackoffMs = 500;
/** That the time of a caller is over is said here: a transport knows less of it. */
const backstopMs = 100;

/**
 * One program's connections: the control stream to a router, one link per worker, and what it knows of instances and
 * deployments. Everything is opened when it is first needed.
 */
export class ClientCore implements TargetHost {
  readonly endpoint: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly wheel: TimerWheel;
  readonly keepAlive = new KeepAlive();
  readonly transport: ClientTransport;
  readonly openBytes: TargetHost['openBytes'];
  readonly deployments: Deployments;
  readonly #router: RouterSession;
  readonly #waits: SpawnedWaits;
  readonly #names = new GrantedNames(this);
  readonly #clientId: string;
  readonly #tracing: Promise<void> | null;
  readonly #sessions = new Map<string, WorkerSession>();
  /** By key and generation: all handles of an instance share its target, and with it the order of their calls. */
  readonly #targets = new Map<string, WeakRef<InstanceTarget>>();
  readonly #collected = new FinalizationRegistry<string>((name) => this.#forgetTarget(name));
  #lastStream = 0;
  #isClosed = false;

  constructor(parts: ClientParts) {
    const { transport, endpoint, clock, random, tracing } = parts;
    this.transport = keptAlive(transport, this.keepAlive);
    this.openBytes = this.transport.openBytes ?? null;
    this.endpoint = endpoint;
    this.clock = clock;
    this.random = random;
    this.wheel = new TimerWheel(clock, wheelTickMs);
    this.#tracing = tracing ?? null;
    this.#clientId = this.#newId();
    this.#router = new RouterSession({
      open: () => transport.openRouter(),
      clock,
      wheel: this.wheel,
      keepAlive: this.keepAlive,
      endpoint,
    });
    this.#waits = new SpawnedWaits(this.#router, clock);
    this.deployments = new Deployments((app, version, limits) => {
      const request = { app, version };
      return this.ask('Lookup', { request, of: LookupRequest, reply: WireDeployment }, limits);
    });
  }

  session(address: string): WorkerSession {
    const known = this.#sessions.get(address);
    if (known?.isOpen) return known;
    const session = new WorkerSession();
    if (this.#isClosed) return session;
    this.#lastStream += 1;
    const link: ClientLink = new ClientLink({
      open: () => this.transport.openWorker(address),
      clientId: this.#clientId,
      linkId: this.#newId(),
      stream: this.#lastStream,
      clock: this.clock,
      // biome-ignore lint/complexity/useMaxParams: no object per frame
      onFrame: (kind, ref, _slot, frame) => session.onFrame(kind, ref, frame),
      onDrain: () => session.onDrain(),
      onLost: (error) => {
        if (this.#sessions.get(address) === session) this.#sessions.delete(address);
        session.onLost(error, link.lastSentBatch);
      },
    });
    session.start(link);
    this.#sessions.set(address, session);
    return session;
  }

  async resolve(placement: Placement, options: ResolveOptions): Promise<Placement> {
    const { app, name, id, generation } = placement.handle;
    const { failedEpoch, remainingMs, signal } = options;
    const op = { $case: 'resolve', value: { app, className: name, id, generation, failedEpoch } } as const;
    return placementOf(await this.#router.ask('pin', op, { remainingMs, signal }));
  }

  /** An instance by a control operation; made, joined or attached. */
  async place(op: Extract<ControlOp, { $case: 'create' | 'attach' }>, limits?: Limits): Promise<InstanceTarget> {
    await this.#tracing;
    const asked = inherited(this.clock, requestOptions(limits));
    if (op.$case !== 'create') return this.target(placementOf(await this.#router.ask('pin', op, asked)));
    const at = this.clock.monotonic();
    const made = await this.#names.make(op.value, asked);
    if (made !== null) return this.target(made.placement, made.bound);
    const askedAt = this.clock.monotonic();
    const view = await this.#router.ask('pin', op, lessFor(asked, askedAt - at));
    this.#names.learn(op.value, view, askedAt);
    return this.target(placementOf(view));
  }

  /** @throws what the router answers */
  async grant(value: GrantOp): Promise<GrantView> {
    return await this.#router.ask('grant', { $case: 'grant', value }, { remainingMs: grantWithinMs });
  }

  /** @throws what the router answers */
  async close(op: Extract<ControlOp, { $case: 'close' }>, options?: Partial<RequestOptions>) {
    return await this.#router.ask('closed', op, inherited(this.clock, options));
  }

  /** A spawned call, when it has ended or after a while. @throws what the router answers, Unavailable, DeadlineExceeded, Cancelled */
  async waitForSpawned(id: string, limits: WaitLimits): Promise<SpawnedView> {
    await this.#tracing;
    this.checkOpen();
    return await this.#waits.wait(id, limits);
  }

  /** The one target of an instance. @param bound what names it at its worker already */
  target(placement: Placement, bound?: BoundSlot): InstanceTarget {
    const name = `${placement.key}:${placement.handle.generation}`;
    const known = this.#targets.get(name)?.deref();
    // What a store had forgotten may be there again (S10).
    if (known !== undefined && known.gone === null) {
      known.update(placement);
      bound?.session.unbind(bound.slot);
      return known;
    }
    const target = new InstanceTarget(this, placement, bound);
    this.#targets.set(name, new WeakRef(target));
    this.#collected.register(target, name);
    return target;
  }

  /**
   * One unary question to the router, asked again for a while where none answers: it must change nothing.
   *
   * @throws what the router answers, Unavailable naming the endpoint
   */
  async ask<Q, R>(method: string, { request, of, reply }: Unary<Q, R>, limits?: Limits): Promise<R> {
    await this.#tracing;
    this.checkOpen();
    const bytes = of.encode(request).finish();
    const answer = this.#askUntilAnswered(method, bytes, { ...limits?.rest, signal: withOuterSignal(limits?.signal) });
    return reply.decode(await this.keepAlive.during(during(limits, answer)));
  }

  /**
   * One unary request that changes something: sent once.
   *
   * @throws what the router answers, Unavailable naming the endpoint
   */
  async change<Q, R>(method: string, { request, of, reply }: Unary<Q, R>, limits?: Limits | StreamLimits): Promise<R> {
    await this.#tracing;
    this.checkOpen();
    const [own, given] = limits instanceof Limits ? [limits, backstopped(limits.rest)] : [undefined, limits];
    try {
      const options = optionsOf(given?.timeoutMs ?? unaryTimeoutMs, withOuterSignal(given?.signal));
      return reply.decode(await during(own, this.transport.unary(method, of.encode(request).finish(), options)));
    } catch (e) {
      // The words of gRPC for that say nothing to people.
      throw isHoldfastError(e, 'Unavailable') && e.outcome === 'not-run' ? cannotServe(this.endpoint, e) : e;
    }
  }

  /** This program has deployed that: what it makes next runs on it (C11). */
  deployed(app: string, version: number): void {
    this.#names.deployed(app, version);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** @throws Cancelled */
  checkOpen(): void {
    if (this.#isClosed) throw new HoldfastError('Cancelled', 'the client is closed; make another one');
  }

  async shut(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
    this.#router.shut(new HoldfastError('Cancelled', 'the client was closed', { outcome: 'unknown' }));
    this.wheel.clear();
    await this.transport.close();
    this.keepAlive.close();
  }

  async #askUntilAnswered(
    method: string,
    bytes: Uint8Array,
    { signal, timeoutMs = Number.POSITIVE_INFINITY }: CallLimits,
  ): Promise<Uint8Array> {
    const startedAt = this.clock.monotonic();
    const giveUpAt = startedAt + Math.min(patienceMs, timeoutMs);
    let untried = this.endpoint.split(',').length;
    for (let backoffMs = 25; ; backoffMs = Math.min(longestBackoffMs, backoffMs * 2)) {
      try {
        const leftMs = Math.max(0, startedAt + timeoutMs - this.clock.monotonic()) + backstopMs;
        return await this.transport.unary(method, bytes, optionsOf(Math.min(unaryTimeoutMs, leftMs), signal));
      } catch (e) {
        if (!isHoldfastError(e, 'Unavailable') || !e.retryable) throw e;
        // One that is frozen takes longer than that to be noticed; the others shall have their turn.
        untried -= 1;
        const isLate = untried <= 0 && this.clock.monotonic() + backoffMs > giveUpAt;
        if (this.#isClosed || isLate) throw cannotServe(this.endpoint, e);
        await this.clock.sleep(backoffMs, signal);
      }
    }
  }

  #forgetTarget(name: string): void {
    if (this.#targets.get(name)?.deref() === undefined) this.#targets.delete(name);
  }

  #newId(): string {
    return Buffer.from(this.random.bytes(16)).toString('base64url');
  }
}

function optionsOf(timeoutMs: number, signal: AbortSignal | undefined): { timeoutMs: number; signal?: AbortSignal } {
  return { timeoutMs: Math.ceil(timeoutMs), ...(signal === undefined ? {} : { signal }) };
}

function backstopped({ signal, timeoutMs }: CallLimits): CallLimits {
  return { signal, timeoutMs: timeoutMs === undefined ? undefined : Math.min(unaryTimeoutMs, timeoutMs + backstopMs) };
}
