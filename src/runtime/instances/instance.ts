import type { Clock, Monotonic } from '../../common/clock.js';
import type { HoldfastError } from '../../common/errors.js';
import type { Epoch, Identity, InstanceKey } from '../../common/ids.js';
import type { ClassOptions } from '../../common/manifest.js';
import type { Pin } from '../../common/pin.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import type { CancelReason } from '../../wire/frames/frames.js';
import { decodePin, pinText } from '../../wire/pin-record.js';
import { InstanceCalls } from '../calls/instance-calls.js';
import { KeyedCalls } from '../calls/keyed-calls.js';
import type { RecentCalls } from '../calls/recent-calls.js';
import type { WorkerCall } from '../calls/worker-call.js';
import type { Container } from '../hosting/container.js';
import type { LoadedClass } from '../hosting/loaded-class.js';
import type { Pool } from '../pool/pool.js';
import { SpawnedCalls, type SpawnedDeps } from '../spawned/spawned-calls.js';
import { type Ending, type InstanceState, refusalIn } from './instance-state.js';

export interface InstanceDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly recentCalls: RecentCalls;
  readonly spawned: SpawnedDeps;
  /** False: this boot starts nothing more (S7). Asked before every start of a call that has waited. */
  readonly mayRun: () => boolean;
  /** The container died under it: the pin must be changed before those who wait are told. */
  readonly onContainerDied: (instance: Instance, waiting: readonly WorkerCall[]) => void;
}

/** What its activation goes through. `activate`: from the change of its pin on. */
type Phase = 'pin' | 'container' | 'enter' | 'activate';

// Shared: there may be very many.
const active: InstanceState = { phase: 'active' };
const gone: InstanceState = { phase: 'gone' };

/**
 * One activated (or activating) instance on this worker: what it is, where, and whether it admits calls.
 *
 * I1. A call is admitted only while the phase is `activating` or `active`, at this instance's epoch (C1).
 * I2. There may be very many that do nothing: what only a busy one needs is made when it is needed and given back, what it
 *     has in common with others is theirs, and its pin is kept as one string.
 */
export class Instance {
  readonly key: InstanceKey;
  readonly klass: LoadedClass;
  readonly id: string;
  readonly epoch: Epoch;
  /** Null where it leaves, and for a pool that is active: it has several. */
  container: Container | null = null;
  /** Null: it has one container, as nearly all. */
  pool: Pool | null = null;
  /** After this long without a call it sleeps; null: never. */
  idleTimeoutMs: number | null;
  /** Its number in the container. */
  slot = 0;
  /** The next look whether it may sleep. */
  idleCheck: WheelEntry | null = null;
  #pin: string;
  /** In whole microseconds, since those take no memory of their own; null: not yet. */
  readonly #phasesUs: Record<Phase, number | null> = { pin: null, container: null, enter: null, activate: null };
  #calls: InstanceCalls | null = null;
  #keyed: KeyedCalls | null = null;
  #spawned: SpawnedCalls | null = null;
  #state: InstanceState = { phase: 'activating', ending: null };
  readonly #deps: InstanceDeps;
  /** When it was made, or its last call ended before its calls rested. */
  #quietSince: Monotonic;
  #whenQuiet: (() => void) | null = null;
  #whenSettled: (() => void) | null = null;

  constructor(key: InstanceKey, init: { readonly pin: Pin; readonly klass: LoadedClass }, deps: InstanceDeps) {
    this.key = key;
    this.klass = init.klass;
    this.id = init.pin.identity.id;
    this.epoch = init.pin.epoch;
    this.#pin = pinText(init.pin);
    this.idleTimeoutMs = init.klass.options.idleTimeoutMs;
    this.#deps = deps;
    this.#quietSince = deps.clock.monotonic();
  }

  get identity(): Identity {
    const { account, app, manifest } = this.klass;
    return { account, app, className: manifest.name, id: this.id };
  }

  /** As it was changed last; read anew each time. */
  get pin(): Pin {
    return decodePin(this.#pin);
  }

  /** @param pin at the same epoch */
  set pin(pin: Pin) {
    this.#pin = pinText(pin);
  }

  /** What it has come through, in ms. */
  get phasesMs(): Record<string, number> {
    const reached = Object.entries(this.#phasesUs).filter(([, us]) => us !== null);
    return Object.fromEntries(reached.map(([phase, us]) => [phase, Number(us) / 1_000]));
  }

  /** It has come through a phase of its activation. */
  passed(phase: Phase, tookMs: number): void {
    this.#phasesUs[phase] = Math.round(tookMs * 1_000);
  }

  get options(): ClassOptions {
    return this.klass.options;
  }

  get calls(): InstanceCalls {
    this.#calls ??= this.#wake();
    return this.#calls;
  }

  get keyed(): KeyedCalls {
    this.#keyed ??= new KeyedCalls(this.#deps.clock);
    return this.#keyed;
  }

  get spawned(): SpawnedCalls {
    this.#spawned ??= new SpawnedCalls(this, this.#deps.spawned);
    return this.#spawned;
  }

  /** Nothing of it would be disturbed if it slept. */
  get isIdle(): boolean {
    return this.isQuiet && (this.#spawned?.isQuiet ?? true);
  }

  get phase(): InstanceState['phase'] {
    return this.#state.phase;
  }

  /** Null: it admits calls. */
  get refusing(): Ending | null {
    return refusalIn(this.#state);
  }

  /** By the clock, now. */
  mayRun(): boolean {
    return this.#deps.mayRun();
  }

  get running(): number {
    return this.#calls?.running ?? 0;
  }

  get pending(): number {
    return this.#calls?.pending ?? 0;
  }

  get isQuiet(): boolean {
    return this.#calls?.isQuiet ?? true;
  }

  get lastCallEndedAt(): Monotonic {
    return this.#calls?.lastEndedAt ?? this.#quietSince;
  }

  /** `enter` has ended. */
  activated(): void {
    if (this.#state.phase !== 'activating') return;
    const { ending } = this.#state;
    this.#state = ending === null ? active : { phase: 'leaving', ending };
    this.passed('activate', this.#deps.clock.monotonic() - this.#quietSince);
    this.#calls?.activated();
    this.#whenSettled?.();
  }

  /** Resolves when `enter` has ended, one way or the other; for one who leaves it. */
  settled(): Promise<void> {
    if (this.#state.phase !== 'activating') return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenSettled = resolve;
    });
  }

  /** It did not come to life: everybody who waits learns why (C3). */
  activationFailed(error: unknown): void {
    this.#calls?.fail(error);
    this.gone();
  }

  /** Stops admission; returns the calls that waited. Those that run go on. */
  leave(ending: Ending): readonly WorkerCall[] {
    const isActivating = this.#state.phase === 'activating';
    this.#state = isActivating ? { phase: 'activating', ending } : { phase: 'leaving', ending };
    this.#spawned?.leave(ending === 'closing');
    return this.#calls?.takeWaiting() ?? [];
  }

  /** Before its pin says that it has left: resolves when all is recorded that its spawned calls have come to (R2). */
  async recorded(failed: HoldfastError | null = null): Promise<void> {
    // A turn later: by then each call knows that its container has died.
    await Promise.resolve();
    if (failed === null) await this.#spawned?.settled();
    else await this.#spawned?.fail(failed);
  }

  refuse(calls: readonly WorkerCall[]): void {
    this.#calls?.refuse(calls);
  }

  /** What its code does counts no more. */
  kill(): void {
    this.container?.kill();
    if (this.pool === null) return;
    this.pool.kill();
    // Else it would start others at its epoch.
    if (this.#state.phase === 'active') this.#deps.onContainerDied(this, this.leave('moving'));
  }

  /** Its pool has another container, or none that it could get: then its callers are told why. */
  dispatch(failure: { readonly error: unknown } | null = null): void {
    if (failure === null) this.#calls?.pooled?.dispatch();
    else this.#calls?.fail(failure.error);
  }

  /** Clients may hold on to it until they bind their slot anew: what it needs no more it lets go. */
  gone(): void {
    this.#state = gone;
    this.#calls?.stop();
    if (this.idleCheck !== null) this.#deps.wheel.remove(this.idleCheck);
    this.idleCheck = null;
    this.#keyed = null;
    this.#spawned?.gone();
    this.#spawned = null;
    this.container = null;
    this.pool?.stop();
    this.#whenSettled?.();
  }

  /** Gives back what its calls needed, unless it has some or had one after `quietSince`. @returns whether it has none of that */
  rest(quietSince: Monotonic): boolean {
    const calls = this.#calls;
    if (calls === null) return true;
    if (!calls.isOver || calls.lastEndedAt > quietSince) return false;
    calls.stop();
    this.#quietSince = calls.lastEndedAt;
    this.#calls = null;
    return true;
  }

  /** Resolves when nothing of its calls is left. */
  quiet(): Promise<void> {
    if (this.isQuiet) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenQuiet = resolve;
    });
  }

  becameQuiet(): void {
    this.#whenQuiet?.();
  }

  /** Aborts what still runs or is sent. */
  abortRunning(reason: CancelReason, which?: (call: WorkerCall) => boolean): void {
    this.#calls?.abort(reason, which);
  }

  /** One that was still activating learns it from its activation, one that was leaving needs no telling. */
  /** @param gone of one that was lent: resolves when none of its code runs; null: none does */
  containerDied(container: Container, gone: Promise<void> | null): void {
    if (this.pool !== null) return this.pool.died(container, gone);
    if (this.#state.phase === 'active') this.#deps.onContainerDied(this, this.leave('moving'));
  }

  #wake(): InstanceCalls {
    this.#deps.recentCalls.add(this);
    return new InstanceCalls(this, this.#deps);
  }
}
