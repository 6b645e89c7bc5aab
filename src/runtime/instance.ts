import type { Clock, Monotonic } from '../common/clock.js';
import type { Identity, InstanceKey } from '../common/ids.js';
import { Mailbox } from '../common/mailbox.js';
import type { ClassOptions } from '../common/manifest.js';
import type { Pin } from '../common/pin.js';
import type { ContainerExit } from '../common/ports/container.js';
import type { TimerWheel, WheelEntry } from '../common/timer-wheel.js';
import { CancelReason } from '../wire/frames.js';
import { CallTimers, type TimedCalls } from './call-timers.js';
import type { Container } from './container.js';
import * as errors from './instance-errors.js';
import { type Ending, type InstanceState, refusalIn } from './instance-state.js';
import { KeyedCalls } from './keyed-calls.js';
import type { LoadedClass } from './loaded-class.js';
import type { WorkerCall } from './worker-call.js';

export interface InstanceDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  /** The container died under it: the pin must be changed before those who wait are told. */
  readonly onContainerDied: (instance: Instance, waiting: readonly WorkerCall[]) => void;
}

/**
 * One activated (or activating) instance on this worker: admission, and the way of each call to its container.
 *
 * I1. A call is admitted only while the phase is `activating` or `active`, at this instance's epoch (C1).
 * I2. No frame of a call reaches the container before `enter` has ended (C3); admitted calls wait in `#early`.
 * I3. A slot frees when the code has really stopped, whatever the caller was told (C4).
 * I4. It is quiet when no code of a call runs and no result of one is still on its way.
 * I5. What only a busy one needs is made when it is needed: there may be very many that do nothing.
 */
export class Instance implements TimedCalls {
  readonly key: InstanceKey;
  readonly klass: LoadedClass;
  readonly activatedAt: Monotonic;
  readonly phasesMs: Record<string, number> = {};
  pin: Pin;
  container: Container | null = null;
  /** Its number in the container. */
  slot = 0;
  /** The next look whether it may sleep. */
  idleCheck: WheelEntry | null = null;
  #keyed: KeyedCalls | null = null;
  #state: InstanceState = { phase: 'activating', ending: null };
  readonly #deps: InstanceDeps;
  readonly #mailbox: Mailbox<WorkerCall>;
  readonly #timers: CallTimers;
  /** Hold a slot, but have not been started. */
  #early: WorkerCall[] | null = null;
  /** Their code has stopped, their result has not left the container yet. */
  #sending: Set<WorkerCall> | null = null;
  #whenQuiet: (() => void) | null = null;
  #whenSettled: (() => void) | null = null;

  constructor(key: InstanceKey, init: { readonly pin: Pin; readonly klass: LoadedClass }, deps: InstanceDeps) {
    this.key = key;
    this.pin = init.pin;
    this.klass = init.klass;
    this.#deps = deps;
    this.activatedAt = deps.clock.monotonic();
    this.#mailbox = new Mailbox(init.klass.options, deps.clock);
    this.#timers = new CallTimers(deps, this);
  }

  get identity(): Identity {
    return this.pin.identity;
  }

  get options(): ClassOptions {
    return this.klass.options;
  }

  /** Made when the first call with a key comes: most instances never see one. */
  get keyed(): KeyedCalls {
    this.#keyed ??= new KeyedCalls(this.#deps.clock);
    return this.#keyed;
  }

  get phase(): InstanceState['phase'] {
    return this.#state.phase;
  }

  /** Null: it admits calls. */
  get refusing(): Ending | null {
    return refusalIn(this.#state);
  }

  get running(): number {
    return this.#mailbox.running;
  }

  get pending(): number {
    return this.#mailbox.pending;
  }

  get isQuiet(): boolean {
    return this.#mailbox.running === 0 && (this.#sending === null || this.#sending.size === 0);
  }

  get lastCallEndedAt(): Monotonic {
    return this.#mailbox.lastReleasedAt;
  }

  /** Admission, in one step (C1). @param frame the call's frame; copied where the call has to wait */
  accept(call: WorkerCall, frame: Buffer): void {
    if (this.refusing !== null) return this.#refuseLeaving(call);
    const admission = this.#mailbox.admit(call);
    switch (admission.verdict) {
      case 'run':
        this.#timers.admitted(call);
        return this.#start(call, frame);
      case 'wait':
        this.#timers.admitted(call);
        call.held = Buffer.from(frame);
        return;
      case 'deadlock':
        return this.#answer(call, errors.deadlock(this.identity, call.method.name, admission.chain));
      case 'full':
        return this.#answer(call, errors.pendingLimitExceeded(this.identity, admission));
      default:
        return admission satisfies never;
    }
  }

  /** `enter` has ended. */
  activated(): void {
    if (this.#state.phase !== 'activating') return;
    const { ending } = this.#state;
    this.#state = ending === null ? { phase: 'active' } : { phase: 'leaving', ending };
    this.phasesMs['activate'] = this.#deps.clock.monotonic() - this.activatedAt;
    for (const call of this.#takeEarly()) this.#startHeld(call);
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
    for (const call of [...this.#takeEarly(), ...this.#mailbox.withdrawAll()]) this.#answer(call, error);
    this.gone();
  }

  /** Stops admission; returns the calls that waited. Those that run go on. */
  leave(ending: Ending): readonly WorkerCall[] {
    const isActivating = this.#state.phase === 'activating';
    this.#state = isActivating ? { phase: 'activating', ending } : { phase: 'leaving', ending };
    const waiting = this.#mailbox.withdrawAll();
    const early = this.#takeEarly();
    for (const call of early) this.#mailbox.release(call);
    const left = early.length === 0 ? waiting : [...early, ...waiting];
    for (const call of left) this.#timers.forget(call);
    return left;
  }

  refuse(calls: readonly WorkerCall[]): void {
    for (const call of calls) this.#refuseLeaving(call);
  }

  /** Clients may hold on to it until they bind their slot anew: what it needs no more it lets go. */
  gone(): void {
    this.#state = { phase: 'gone' };
    this.#timers.stop();
    if (this.idleCheck !== null) this.#deps.wheel.remove(this.idleCheck);
    this.idleCheck = null;
    this.#keyed = null;
    this.container = null;
    this.#whenSettled?.();
  }

  /** Resolves when it is (I4). */
  quiet(): Promise<void> {
    if (this.isQuiet) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenQuiet = resolve;
    });
  }

  runningCalls(): WorkerCall[] {
    return this.#mailbox.runningCalls();
  }

  /** Aborts what still runs or is sent; the callers are answered now, the slots free when the code stops. */
  abortRunning(reason: CancelReason): void {
    for (const call of [...this.#mailbox.runningCalls(), ...(this.#sending ?? [])]) {
      this.#answer(call, errors.forceClosed(this.identity, call.method.name, call.hasReleased));
      call.container?.cancel(call, reason);
    }
  }

  cancel(call: WorkerCall, reason: CancelReason): void {
    const byDeadline = reason === CancelReason.deadline;
    const error = byDeadline ? errors.callerDeadline : errors.cancelled;
    const isWaiting = this.#mailbox.withdraw(call) || this.#withdrawEarly(call);
    if (!isWaiting) call.container?.cancel(call, reason);
    this.#answer(call, error(this.identity, call.method.name, !isWaiting));
  }

  onDeadline(call: WorkerCall): void {
    if (!call.isAnswered) this.cancel(call, CancelReason.deadline);
  }

  onTimeout(call: WorkerCall): void {
    call.container?.cancel(call, CancelReason.deadline);
    this.#answer(call, errors.attemptTimeout(this.identity, call.method.name, this.options.timeoutMs));
  }

  /** From the container: the code has stopped, and with `isLast` no frame will follow. */
  callEnded(call: WorkerCall, isLast: boolean): void {
    if (isLast) call.answered();
    if (call.hasReleased) {
      if (isLast) this.#sending?.delete(call);
      this.#tellQuiet();
      return;
    }
    if (!isLast) {
      this.#sending ??= new Set();
      this.#sending.add(call);
    }
    this.#codeStopped(call);
  }

  /** The container died under a call that it had; `containerDied` comes first, so that no call takes its slot. */
  callLost(call: WorkerCall, exit: ContainerExit): void {
    const what = { identity: this.identity, method: call.method.name, memoryMb: this.options.memoryMb };
    this.#answer(call, errors.containerDied(exit, what));
    this.#sending?.delete(call);
    if (call.hasReleased) this.#tellQuiet();
    else this.#codeStopped(call);
  }

  /** One that was still activating learns it from its activation, one that was leaving needs no telling. */
  containerDied(): void {
    if (this.#state.phase === 'active') this.#deps.onContainerDied(this, this.leave('moving'));
  }

  #takeEarly(): readonly WorkerCall[] {
    const early = this.#early ?? [];
    this.#early = null;
    return early;
  }

  #startHeld(call: WorkerCall): void {
    const frame = call.held;
    call.held = null;
    if (frame !== null) this.#start(call, frame);
  }

  /** Before the end of `enter` it waits with its slot (I2); so it does where the container is dying, and never runs there. */
  #start(call: WorkerCall, frame: Buffer): void {
    if (this.#state.phase === 'activating' || !this.container?.isUsable) {
      call.held = Buffer.from(frame);
      this.#early ??= [];
      this.#early.push(call);
      return;
    }
    call.trace?.running();
    this.container.start(call, frame, this.#timers.started(call));
  }

  #codeStopped(call: WorkerCall): void {
    call.hasReleased = true;
    call.trace?.stopped();
    this.#timers.forget(call);
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#startHeld(next);
    this.#tellQuiet();
  }

  #tellQuiet(): void {
    if (this.#whenQuiet !== null && this.isQuiet) this.#whenQuiet();
  }

  #withdrawEarly(call: WorkerCall): boolean {
    const index = this.#early?.indexOf(call) ?? -1;
    if (this.#early === null || index < 0) return false;
    this.#early.splice(index, 1);
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#early.push(next);
    return true;
  }

  #refuseLeaving(call: WorkerCall): void {
    if (this.refusing === 'closing') this.#answer(call, errors.closing(this.identity));
    else call.moved();
  }

  #answer(call: WorkerCall, error: unknown): void {
    this.#timers.answered(call);
    call.fail(error);
  }
}
