import type { Clock, Monotonic } from '../../common/clock.js';
import { Mailbox } from '../../common/mailbox.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { TimerWheel } from '../../common/timer-wheel.js';
import { CancelReason } from '../../wire/frames/frames.js';
import { type LoadedClass, mailboxLimits } from '../hosting/loaded-class.js';
import type { Instance } from '../instances/instance.js';
import * as errors from '../instances/instance-errors.js';
import { PooledCalls } from '../pool/pooled-calls.js';
import { CallTimers, type TimedCalls } from './call-timers.js';
import { type AheadParts, aheadParts, recallAhead, sendAhead, sendMoreAhead } from './calls-ahead.js';
import type { WorkerCall } from './worker-call.js';

/**
 * The calls of one instance, from their admission until their code has stopped and their result is sent.
 *
 * I1. No frame of a call reaches the container before `enter` has ended (C3); admitted calls wait in `#early`.
 * I2. A slot frees when the code has really stopped, whatever the caller was told (C4).
 * I3. Nothing is left of them when no code that a caller waits for runs or can begin, and no result is still on its way.
 * I4. What has waited is started only while this boot may run: its session asked when it came, which may be long ago (S7).
 */
export class InstanceCalls implements TimedCalls {
  readonly #instance: Instance;
  readonly #mailbox: Mailbox<WorkerCall>;
  readonly #timers: CallTimers;
  /** Null: it has one container. */
  readonly pooled: PooledCalls | null;
  /** Hold a slot, but have not been started. */
  readonly #early = new Set<WorkerCall>();
  /** Their code has stopped, their result has not left the container yet. */
  readonly #sending = new Set<WorkerCall>();
  /** Calls that hold a slot and are answered: nobody waits for their code any more. */
  #detached = 0;

  constructor(instance: Instance, deps: { readonly clock: Clock; readonly wheel: TimerWheel }) {
    this.#instance = instance;
    this.#mailbox = new Mailbox(mailboxLimits(instance.klass, instance.pool !== null), deps.clock);
    this.#timers = new CallTimers(deps, this);
    this.pooled = instance.pool && new PooledCalls(instance, instance.pool, { ...deps, timers: this.#timers });
  }

  get klass(): LoadedClass {
    return this.#instance.klass;
  }

  get running(): number {
    return this.#mailbox.running - (this.pooled?.waiting ?? 0);
  }

  get pending(): number {
    return this.#mailbox.pending + (this.pooled?.waiting ?? 0);
  }

  get isQuiet(): boolean {
    return this.#mailbox.running + this.#mailbox.ahead === this.#detached && this.#sending.size === 0;
  }

  /** No call waits, runs, or is still answered. */
  get isOver(): boolean {
    return this.running + this.pending + this.#sending.size === 0;
  }

  get lastEndedAt(): Monotonic {
    return this.#mailbox.lastReleasedAt;
  }

  /** Admission, in one step (C1). @param frame the call's frame; copied where the call has to wait */
  accept(call: WorkerCall, frame: Buffer): void {
    if (this.#instance.refusing !== null) return this.#refuse(call);
    const admission = this.#mailbox.admit(call);
    switch (admission.verdict) {
      case 'run':
        this.#timers.admitted(call);
        return this.#start(call, frame);
      case 'wait':
        this.#timers.admitted(call);
        this.pooled?.queued(call);
        if (!sendAhead(call, frame, this.#aheadParts())) call.held = Buffer.from(frame);
        return;
      case 'deadlock':
        return this.#answer(call, errors.deadlock(this.#instance.identity, call.method.name, admission.chain));
      case 'full':
        return this.#answer(call, errors.pendingLimitExceeded(this.#instance.identity, this.klass.kind, admission));
      default:
        return admission satisfies never;
    }
  }

  /** `enter` has ended. */
  activated(): void {
    for (const call of this.#takeEarly()) this.#startHeld(call);
    this.#sendMore();
  }

  /** Takes out those that wait here; the container gives back those that it has and has not begun. */
  takeWaiting(): readonly WorkerCall[] {
    const waiting = this.#mailbox.withdrawAll();
    recallAhead(this.#mailbox);
    const early = this.#takeEarly();
    for (const call of early) this.#mailbox.release(call);
    const left = early.length === 0 ? waiting : [...early, ...waiting];
    for (const call of left) this.#timers.forget(call);
    return left;
  }

  /** The instance admits no calls any more. */
  refuse(calls: readonly WorkerCall[]): void {
    for (const call of calls) this.#refuse(call);
  }

  /** Everybody who waits learns why it did not come to life (C3). */
  fail(error: unknown): void {
    for (const call of this.takeWaiting()) this.#answer(call, error);
  }

  stop(): void {
    this.#timers.stop();
  }

  runningCalls(): WorkerCall[] {
    const calls = this.#mailbox.runningCalls();
    return this.pooled === null ? calls : calls.filter(({ container }) => container !== null);
  }

  /** Aborts what still runs or is sent; the callers are answered now, the slots free when the code stops. */
  abort(reason: CancelReason, which = (_call: WorkerCall): boolean => true): void {
    for (const call of [...this.#mailbox.runningCalls(), ...this.#sending].filter(which)) {
      this.#answer(call, errors.forceClosed(this.#instance.identity, call.method.name, call.hasReleased));
      call.container?.cancel(call, reason);
    }
  }

  cancel(call: WorkerCall, reason: CancelReason): void {
    // The container answers it where it has not begun; where it has, the end of the call before it tells.
    if (this.#mailbox.isAhead(call)) {
      call.stopping = reason;
      return call.container?.cancel(call, reason);
    }
    const byDeadline = reason === CancelReason.deadline;
    const error = byDeadline ? errors.callerDeadline : errors.cancelled;
    const isWaiting = this.#mailbox.withdraw(call) || this.#withdrawEarly(call);
    if (!isWaiting) call.container?.cancel(call, reason);
    this.#answer(call, error(this.#instance.identity, call.method.name, !isWaiting));
    if (isWaiting) this.#sendMore();
  }

  onDeadline(call: WorkerCall): void {
    if (!call.isAnswered) this.cancel(call, CancelReason.deadline);
  }

  onTimeout(call: WorkerCall): void {
    call.container?.cancel(call, CancelReason.deadline);
    this.#answer(call, errors.attemptTimeout(this.#instance.identity, call.method.name, this.klass.options.timeoutMs));
  }

  /** From the container: the code has stopped, unless the call is detached; with `isLast` no part of its answer will follow. */
  ended(call: WorkerCall, isLast: boolean): void {
    if (this.#mailbox.isAhead(call)) return this.#endedAhead(call, isLast);
    if (isLast) call.answered();
    if (call.isDetached) return;
    if (call.hasReleased) {
      if (isLast && this.#sending.delete(call)) this.pooled?.sent(call);
      return this.#tellQuiet();
    }
    if (!isLast) this.#sending.add(call);
    this.#codeStopped(call);
  }

  /** From the container: the code goes on after the answer, with its slot. @throws InvalidArgument where it cannot */
  detached(call: WorkerCall): void {
    if (call.isDetached || call.hasReleased || this.#mailbox.isAhead(call)) throw errors.notDetachable();
    call.isDetached = true;
    this.#detached += 1;
    this.#mailbox.touch();
    this.#tellQuiet();
  }

  /** From the container: that code has stopped. */
  detachedEnded(call: WorkerCall): void {
    this.#codeStopped(call);
  }

  /** From the container: it has not begun the call and gives it back. @throws InvalidArgument where nobody has asked for that */
  givenBack(call: WorkerCall): void {
    if (call.stopping !== CancelReason.recalled || !this.#mailbox.isAhead(call)) throw errors.notRecalled();
    this.#mailbox.withdraw(call);
    this.#timers.forget(call);
    this.#refuse(call);
    this.#tellQuiet();
  }

  /** The container died under a call that it had; the instance learned it first, so that no call takes its slot. */
  lost(call: WorkerCall, exit: ContainerExit): void {
    const { identity, klass } = this.#instance;
    const where = { identity, method: call.method.name, memoryMb: klass.options.memoryMb };
    this.#answer(call, errors.containerDied(exit, where));
    this.#sending.delete(call);
    if (call.hasReleased || this.#mailbox.withdraw(call)) this.#tellQuiet();
    else this.#codeStopped(call);
  }

  #takeEarly(): readonly WorkerCall[] {
    if (this.pooled !== null) return this.pooled.takeAll();
    const early = [...this.#early];
    this.#early.clear();
    return early;
  }

  /** Where this boot is over it stays held, and is gone with its instance (I4). */
  #startHeld(call: WorkerCall): void {
    const frame = call.held;
    if (frame === null || !this.#instance.mayRun()) return;
    call.held = null;
    this.#start(call, frame);
  }

  /** Before the end of `enter` it waits with its slot (I1); so it does where the container is dying, and never runs there. */
  #start(call: WorkerCall, frame: Buffer): void {
    if (this.pooled !== null) return this.pooled.start(call, frame);
    const { container, phase } = this.#instance;
    const isReady = phase !== 'activating' && container?.isUsable === true;
    if (!isReady || call.gate?.mayBegin(() => this.#letIn(call)) === false) {
      call.held = Buffer.from(frame);
      this.#early.add(call);
      return;
    }
    call.trace?.running();
    container.start(call, frame, this.#timers.started(call));
  }

  /** Its gate has opened, unless it has left meanwhile. */
  #letIn(call: WorkerCall): void {
    if (!this.#early.delete(call)) return;
    this.#startHeld(call);
    this.#sendMore();
  }

  #codeStopped(call: WorkerCall): void {
    this.pooled?.ended(call);
    if (call.isDetached) this.#detached -= 1;
    call.hasReleased = true;
    call.trace?.stopped();
    this.#timers.forget(call);
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#begin(next);
    if (this.pooled === null) this.#sendMore();
    else this.pooled.dispatch();
    this.#tellQuiet();
  }

  /** It has a slot now; the container has begun it by itself where it has it. */
  #begin(call: WorkerCall): void {
    if (call.container === null) return this.#startHeld(call);
    call.trace?.running();
    this.#timers.started(call);
    if (call.stopping !== null && call.stopping !== CancelReason.recalled) this.cancel(call, call.stopping);
  }

  /** Cancelled before it began; the container has answered it. @throws InvalidArgument where more of the answer is to come */
  #endedAhead(call: WorkerCall, isLast: boolean): void {
    if (!isLast) throw errors.answeredUnbegun();
    this.#mailbox.withdraw(call);
    this.#timers.forget(call);
    call.answered();
    this.#sendMore();
    this.#tellQuiet();
  }

  #sendMore(): void {
    if (this.#mailbox.nextToSend() === undefined || !this.#instance.mayRun()) return;
    sendMoreAhead(this.#aheadParts());
  }

  /** Null while one that has a slot has not been started: the container would give that slot to one that was sent ahead (C1). */
  #aheadParts(): AheadParts | null {
    return this.#early.size > 0 ? null : aheadParts(this.#instance, this.#mailbox, this.#timers);
  }

  #tellQuiet(): void {
    if (this.isQuiet) this.#instance.becameQuiet();
  }

  #withdrawEarly(call: WorkerCall): boolean {
    if (!this.#early.delete(call) && this.pooled?.withdraw(call) !== true) return false;
    const next = this.#mailbox.release(call);
    if (next !== undefined) this.#begin(next);
    return true;
  }

  #refuse(call: WorkerCall): void {
    if (this.#instance.refusing === 'closing') this.#answer(call, errors.closing(this.#instance.identity));
    else call.moved();
  }

  #answer(call: WorkerCall, error: unknown): void {
    this.#timers.answered(call);
    call.fail(error);
  }
}
