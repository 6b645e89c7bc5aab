import type { Clock, Monotonic } from '../common/clock.js';
import { isHoldfastError } from '../common/errors.js';
import type { Identity, InstanceKey } from '../common/ids.js';
import { Mailbox } from '../common/mailbox.js';
import type { Pin } from '../common/pin.js';
import type { ContainerExit } from '../common/ports/container.js';
import type { TimerWheel } from '../common/timer-wheel.js';
import { CancelReason } from '../wire/frames.js';
import { CallTimers } from './call-timers.js';
import type { Container } from './container.js';
import * as errors from './instance-errors.js';
import { KeyedCalls } from './keyed-calls.js';
import type { LoadedClass } from './loaded-class.js';
import type { WorkerCall } from './worker-call.js';

/** `leaving`: admits nothing; `closing` refuses with InstanceClosed, the other ways out with Moved. */
export type InstanceState =
  | { readonly phase: 'activating' }
  | { readonly phase: 'active' }
  | { readonly phase: 'leaving'; readonly closing: boolean }
  | { readonly phase: 'gone' };

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
 */
export class Instance {
  readonly key: InstanceKey;
  readonly klass: LoadedClass;
  readonly activatedAt: Monotonic;
  readonly phasesMs: Record<string, number> = {};
  pin: Pin;
  #keyed: KeyedCalls | null = null;
  container: Container | null = null;
  /** Its number in the container. */
  slot = 0;
  #state: InstanceState = { phase: 'activating' };
  readonly #deps: InstanceDeps;
  readonly #mailbox: Mailbox<WorkerCall>;
  readonly #timers: CallTimers;
  /** Hold a slot, but `enter` has not ended. */
  #early: WorkerCall[] = [];
  #whenQuiet: (() => void) | null = null;
  #whenSettled: (() => void)[] = [];

  constructor(key: InstanceKey, init: { readonly pin: Pin; readonly klass: LoadedClass }, deps: InstanceDeps) {
    this.key = key;
    this.pin = init.pin;
    this.klass = init.klass;
    this.#deps = deps;
    this.#mailbox = new Mailbox(init.klass.options, deps.clock);
    this.#timers = new CallTimers({
      clock: deps.clock,
      wheel: deps.wheel,
      options: init.klass.options,
      running: () => this.#mailbox.runningCalls(),
      onDeadline: (call) => {
        if (!call.isAnswered) this.cancel(call, CancelReason.deadline);
      },
      onTimeout: (call) => this.#timedOut(call),
    });
    this.activatedAt = deps.clock.monotonic();
  }

  get identity(): Identity {
    return this.pin.identity;
  }

  /** Made when the first call with a key comes: most instances never see one. */
  get keyed(): KeyedCalls {
    this.#keyed ??= new KeyedCalls();
    return this.#keyed;
  }

  get phase(): InstanceState['phase'] {
    return this.#state.phase;
  }

  get running(): number {
    return this.#mailbox.running;
  }

  get pending(): number {
    return this.#mailbox.pending;
  }

  get lastCallEndedAt(): Monotonic {
    return this.#mailbox.lastReleasedAt;
  }

  /** Admission, in one step (C1). @param frame the call's frame; copied where the call has to wait */
  accept(call: WorkerCall, frame: Buffer): void {
    if (this.#state.phase === 'leaving' || this.#state.phase === 'gone') return this.#refuseLeaving(call);
    const admission = this.#mailbox.admit(call);
    switch (admission.verdict) {
      case 'run':
        this.#timers.admitted(call);
        if (this.#state.phase === 'active') return this.#start(call, frame);
        call.held = Buffer.from(frame);
        this.#early.push(call);
        return;
      case 'wait':
        this.#timers.admitted(call);
        call.held = Buffer.from(frame);
        return;
      case 'deadlock':
        return this.#answer(call, errors.deadlock(this.identity, call.method.name, admission.chain));
      case 'full':
        return this.#answer(call, errors.pendingLimitExceeded(this.identity, admission));
    }
  }

  /** `enter` has ended. */
  activated(): void {
    if (this.#state.phase !== 'activating') return;
    this.#state = { phase: 'active' };
    this.phasesMs['activate'] = this.#deps.clock.monotonic() - this.activatedAt;
    const early = this.#early;
    this.#early = [];
    for (const call of early) this.#startHeld(call);
    this.#settle();
  }

  /** Resolves when `enter` has ended, one way or the other. */
  settled(): Promise<void> {
    if (this.#state.phase !== 'activating') return Promise.resolve();
    return new Promise((resolve) => this.#whenSettled.push(resolve));
  }

  /** It did not come to life: everybody who waits learns why (C3). */
  activationFailed(error: unknown): void {
    this.#state = { phase: 'gone' };
    const early = this.#early;
    this.#early = [];
    for (const call of [...early, ...this.#mailbox.withdrawAll()]) this.#answer(call, error);
    this.#settle();
  }

  /** Stops admission; returns the calls that waited. Those that run go on. */
  leave(closing: boolean): WorkerCall[] {
    this.#state = { phase: 'leaving', closing };
    const waiting = this.#mailbox.withdrawAll();
    for (const call of waiting) this.#timers.forget(call);
    return waiting;
  }

  refuse(calls: readonly WorkerCall[]): void {
    for (const call of calls) this.#refuseLeaving(call);
  }

  gone(): void {
    this.#state = { phase: 'gone' };
    this.#timers.stop();
  }

  /** Resolves when no code of a call runs any more. */
  quiet(): Promise<void> {
    if (this.#mailbox.running === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#whenQuiet = resolve;
    });
  }

  /** Aborts what still runs; the callers are answered now, their slots free when the code stops. */
  abortRunning(reason: CancelReason): void {
    for (const call of this.#mailbox.runningCalls()) {
      this.#answer(call, errors.forceClosed(this.identity, call.method.name));
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

  /** From the container: the code has stopped, and with `isLast` no frame will follow. */
  callEnded(call: WorkerCall, isLast: boolean): void {
    if (!call.hasReleased) {
      call.hasReleased = true;
      call.trace?.stopped();
      this.#timers.forget(call);
      this.#release(call);
    }
    if (isLast && !call.isAnswered) {
      call.isAnswered = true;
      call.trace?.answered(null);
      call.caller.done(call.ref);
    }
  }

  /** The container died under a call that it had; `containerDied` comes first, so that no call takes its slot. */
  callLost(call: WorkerCall, exit: ContainerExit): void {
    const { identity, klass } = this;
    const what = { identity, method: call.method.name, memoryMb: klass.options.memoryMb };
    this.#answer(call, errors.containerDied(exit, what));
    if (call.hasReleased) return;
    call.hasReleased = true;
    this.#timers.forget(call);
    this.#release(call);
  }

  /** One that was still activating learns it from its activation, one that was leaving needs no telling. */
  containerDied(): void {
    if (this.#state.phase === 'active') this.#deps.onContainerDied(this, this.leave(false));
  }

  #settle(): void {
    for (const resolve of this.#whenSettled) resolve();
    this.#whenSettled = [];
  }

  #startHeld(call: WorkerCall): void {
    const frame = call.held;
    call.held = null;
    if (frame !== null && !call.isAnswered) this.#start(call, frame);
  }

  #start(call: WorkerCall, frame: Buffer): void {
    call.trace?.running();
    this.container?.start(call, frame, this.#timers.started(call));
  }

  #release(call: WorkerCall): void {
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#startHeld(next);
    if (this.#whenQuiet !== null && this.#mailbox.running === 0) this.#whenQuiet();
  }

  #withdrawEarly(call: WorkerCall): boolean {
    const index = this.#early.indexOf(call);
    if (index < 0) return false;
    this.#early.splice(index, 1);
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#early.push(next);
    return true;
  }

  #timedOut(call: WorkerCall): void {
    call.container?.cancel(call, CancelReason.deadline);
    this.#answer(call, errors.attemptTimeout(this.identity, call.method.name, this.klass.options.timeoutMs));
  }

  #refuseLeaving(call: WorkerCall): void {
    if (this.#state.phase === 'leaving' && this.#state.closing)
      return this.#answer(call, errors.closing(this.identity));
    if (call.isAnswered) return;
    call.isAnswered = true;
    call.trace?.answered('Moved');
    call.caller.moved(call.ref);
    call.caller.done(call.ref);
  }

  #answer(call: WorkerCall, error: unknown): void {
    if (call.isAnswered) return;
    call.isAnswered = true;
    if (call.deadline !== null) this.#deps.wheel.remove(call.deadline);
    call.trace?.answered(isHoldfastError(error) ? error.code : 'Internal');
    call.caller.fail(call.ref, error);
    call.caller.done(call.ref);
  }
}
