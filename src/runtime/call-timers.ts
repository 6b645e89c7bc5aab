import type { Clock } from '../common/clock.js';
import type { ClassOptions } from '../common/manifest.js';
import type { TimerWheel, WheelEntry } from '../common/timer-wheel.js';
import type { WorkerCall } from './worker-call.js';

export interface CallTimersDeps {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly options: ClassOptions;
  readonly running: () => Iterable<WorkerCall>;
  /** The caller's time is over, whether the call waits or runs. */
  readonly onDeadline: (call: WorkerCall) => void;
  /** It ran longer than the class's `timeoutMs`. */
  readonly onTimeout: (call: WorkerCall) => void;
}

/** The times of one instance's calls (C4): the callers' deadlines, and the class's limit of one attempt. */
export class CallTimers {
  readonly #deps: CallTimersDeps;
  #check: WheelEntry | null = null;

  constructor(deps: CallTimersDeps) {
    this.#deps = deps;
  }

  admitted(call: WorkerCall): void {
    if (call.deadlineAt === null) return;
    const leftMs = call.deadlineAt - this.#deps.clock.monotonic();
    call.deadline = this.#deps.wheel.add(leftMs, () => this.#deps.onDeadline(call));
  }

  /** Its code is about to run. Returns what is left of the nearer limit, in whole ms. */
  started(call: WorkerCall): number {
    const { clock, wheel, options } = this.#deps;
    call.startedAt = clock.monotonic();
    // One entry for all running calls, not one each: they all have the same limit.
    this.#check ??= wheel.add(options.timeoutMs, () => this.#checkRunning());
    const callerMs = call.deadlineAt === null ? options.timeoutMs : call.deadlineAt - call.startedAt;
    return Math.max(1, Math.ceil(Math.min(options.timeoutMs, callerMs)));
  }

  forget(call: WorkerCall): void {
    if (call.deadline !== null) this.#deps.wheel.remove(call.deadline);
    if (call.overrun !== null) this.#deps.wheel.remove(call.overrun);
    call.deadline = null;
  }

  stop(): void {
    if (this.#check !== null) this.#deps.wheel.remove(this.#check);
  }

  #checkRunning(): void {
    const { clock, wheel, options, running, onTimeout } = this.#deps;
    this.#check = null;
    const now = clock.monotonic();
    let nextInMs = Number.POSITIVE_INFINITY;
    for (const call of running()) {
      const leftMs = call.startedAt + options.timeoutMs - now;
      if (leftMs > 0) {
        nextInMs = Math.min(nextInMs, leftMs);
      } else if (call.overrun === null) {
        onTimeout(call);
        call.overrun = wheel.add(options.exitTimeoutMs, () => call.container?.kill());
      }
    }
    if (nextInMs < Number.POSITIVE_INFINITY) this.#check = wheel.add(nextInMs, () => this.#checkRunning());
  }
}
