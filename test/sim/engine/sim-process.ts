import type { Clock, Monotonic, Timer } from '../../../src/common/clock.js';
import type { SimEvent } from './event-queue.js';
import type { SeededRandom } from './seeded-random.js';
import type { Timeline } from './timeline.js';

/** A machine: its processes share its clocks and its network. */
export interface SimHost {
  readonly name: string;
  /** Its monotonic clock: `offset + true time * rate`. */
  readonly monotonicOffsetMs: number;
  readonly rate: number;
  /** Its wall clock: true time plus this, which may jump. */
  wallOffsetMs: number;
  /** Without power: its processes are dead and nobody says so. */
  isDown: boolean;
}

/** In which order a process that was stopped finds what happened meanwhile. */
export type WakeOrder = 'timers-first' | 'messages-first' | 'as-it-came';

/** Timers are a little late, never early. */
const timerSlackMs = 0.3;
const turnMs = 0.01;

/** One run of one process: what is scheduled for it happens only while it lives and is not stopped. */
export class SimProcess {
  readonly name: string;
  readonly host: SimHost;
  readonly clock: Clock;
  readonly timeline: Timeline;
  readonly random: SeededRandom;
  #isAlive = true;
  #stopped: SimEvent[] | null = null;
  #stoppedAt = 0;
  #diedAt = 0;
  readonly #deaths = new Set<() => void>();
  #lastTurnAt = 0;
  #stoppedMs = 0;

  constructor(timeline: Timeline, name: string, host: SimHost) {
    this.timeline = timeline;
    this.name = name;
    this.host = host;
    this.random = timeline.random.fork(`process ${name}`);
    this.clock = new ProcessClock(this);
    timeline.processes.add(this);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isStopped(): boolean {
    return this.#stopped !== null;
  }

  /** True time. */
  get diedAt(): number {
    return this.#diedAt;
  }

  /** True time at which it was stopped last. */
  get stoppedAt(): number {
    return this.#stoppedAt;
  }

  /** For how long it has stood still, all in all. */
  get stoppedMs(): number {
    return this.#stoppedMs + (this.isStopped ? this.timeline.now - this.#stoppedAt : 0);
  }

  /** What others learn of its end, the kernel's word: called once, in the moment of it. */
  onDeath(heard: () => void): () => void {
    this.#deaths.add(heard);
    return () => this.#deaths.delete(heard);
  }

  /** SIGKILL, or its own end. Idempotent. */
  kill(): void {
    if (!this.#isAlive) return;
    this.#isAlive = false;
    this.#diedAt = this.timeline.now;
    this.#stopped = null;
    this.timeline.processes.delete(this);
    this.timeline.note(this, 'dies');
    const deaths = [...this.#deaths];
    this.#deaths.clear();
    for (const heard of deaths) heard();
  }

  /** SIGSTOP. */
  stop(): void {
    if (!this.#isAlive || this.#stopped !== null) return;
    this.#stopped = [];
    this.#stoppedAt = this.timeline.now;
    this.timeline.note(this, 'is stopped');
  }

  /** SIGCONT. */
  wake(order: WakeOrder): void {
    const missed = this.#stopped;
    if (missed === null) return;
    this.#stopped = null;
    this.#stoppedMs += this.timeline.now - this.#stoppedAt;
    this.timeline.note(this, 'goes on', order);
    const first = order === 'timers-first' ? 'timer' : order === 'messages-first' ? 'message' : null;
    const sorted =
      first === null
        ? missed
        : [...missed.filter(({ kind }) => kind === first), ...missed.filter(({ kind }) => kind !== first)];
    for (const event of sorted) this.timeline.again(event);
  }

  /** For the timeline: keeps what happens to it while it is stopped. */
  keep(event: SimEvent): void {
    this.#stopped?.push(event);
  }

  /** In the next turn of its event loop. */
  soon(task: () => void): void {
    this.#lastTurnAt = Math.max(this.#lastTurnAt, this.timeline.now + this.random.next() * turnMs);
    this.timeline.at(this.#lastTurnAt, { process: this, kind: 'turn', task });
  }

  /** @param ms of true time */
  in(ms: number, task: () => void): SimEvent {
    return this.timeline.at(this.timeline.now + ms, { process: this, kind: 'message', task });
  }
}

class ProcessClock implements Clock {
  readonly #process: SimProcess;

  constructor(process: SimProcess) {
    this.#process = process;
  }

  now(): number {
    const { host, timeline } = this.#process;
    return Math.floor(timeline.epochMs + timeline.now + host.wallOffsetMs);
  }

  monotonic(): Monotonic {
    const { host, timeline } = this.#process;
    return host.monotonicOffsetMs + timeline.now * host.rate;
  }

  after(ms: number, task: () => void): Timer {
    const { host, timeline, random } = this.#process;
    const at = timeline.now + Math.max(0, ms) / host.rate + random.next() * timerSlackMs;
    const event = timeline.at(at, { process: this.#process, kind: 'timer', task });
    return {
      cancel: () => {
        event.task = null;
      },
    };
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => {
        timer.cancel();
        reject(signal?.reason);
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }
}
