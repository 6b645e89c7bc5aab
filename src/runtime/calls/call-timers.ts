import type { Clock } from '../../common/clock.js';
import type { TimerWheel, WheelEntry } from '../../common/timer-wheel.js';
import type { LoadedClass } from '../hosting/loaded-class.js';
import type { WorkerCall } from './worker-call.js';

/** Whose calls are timed. */
export interface TimedCalls {
  readonly klass: Pick<LoadedClass, 'attemptMs' | 'options'>;
  runningCalls(): Iterable<WorkerCall>;
  /** The caller's time is over, whether the call waits or runs. */
  onDeadline(call: WorkerCall): void;
  /** It ran longer than the class's `timeoutMs`. */
  onTimeout(call: WorkerCall): void;
}

const longestMs = 0xffff_ffff;

/** The times of one instance's calls (C4): the callers' deadlines, and the class's limit of one attempt. */
export class CallTimers {
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #calls: TimedCalls;
  #check: WheelEntry | null = null;

  constructor(deps: { readonly clock: Clock; readonly wheel: TimerWheel }, calls: TimedCalls) {
    this.#clock = deps.clock;
    this.#wheel = deps.wheel;
    this.#calls = calls;
  }

  admitted(call: WorkerCall): void {
    if (call.deadlineAt === null) return;
    const leftMs = call.deadlineAt - this.#clock.monotonic();
    call.deadline = this.#wheel.add(leftMs, () => this.#calls.onDeadline(call));
  }

  /** What its caller still waits for, in whole ms; 0: no limit. */
  callerMs({ deadlineAt }: WorkerCall): number {
    return deadlineAt === null ? 0 : Math.max(1, Math.ceil(deadlineAt - this.#clock.monotonic()));
  }

  /** Its code is about to run. Returns what is left of the nearer limit, in whole ms. */
  started(call: WorkerCall): number {
    const { attemptMs } = this.#calls.klass;
    const timeoutMs = attemptMs ?? longestMs;
    call.startedAt = this.#clock.monotonic();
    // One entry for all running calls, not one each: they all have the same limit.
    if (attemptMs !== null) this.#check ??= this.#wheel.add(timeoutMs, () => this.#checkRunning());
    const callerMs = call.deadlineAt === null ? timeoutMs : call.deadlineAt - call.startedAt;
    return Math.max(1, Math.ceil(Math.min(timeoutMs, callerMs)));
  }

  /** Its caller waits no more; its code may still run. */
  answered(call: WorkerCall): void {
    if (call.deadline !== null) this.#wheel.remove(call.deadline);
    call.deadline = null;
  }

  forget(call: WorkerCall): void {
    this.answered(call);
    if (call.overrun !== null) this.#wheel.remove(call.overrun);
  }

  stop(): void {
    if (this.#check !== null) this.#wheel.remove(this.#check);
    this.#check = null;
  }

  #checkRunning(): void {
    const { timeoutMs, exitTimeoutMs } = this.#calls.klass.options;
    this.#check = null;
    const now = this.#clock.monotonic();
    let nextInMs = Number.POSITIVE_INFINITY;
    for (const call of this.#calls.runningCalls()) {
      const leftMs = call.startedAt + timeoutMs - now;
      if (leftMs > 0) {
        nextInMs = Math.min(nextInMs, leftMs);
      } else if (call.overrun === null) {
        this.#calls.onTimeout(call);
        call.overrun = this.#wheel.add(exitTimeoutMs, () => call.container?.kill());
      }
    }
    if (nextInMs < Number.POSITIVE_INFINITY) this.#check = this.#wheel.add(nextInMs, () => this.#checkRunning());
  }
}
