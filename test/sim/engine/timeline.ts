import { type EventKind, EventQueue, type SimEvent } from './event-queue.js';
import { realImmediate, setTurnTaker } from './globals.js';
import type { SeededRandom } from './seeded-random.js';
import type { SimProcess } from './sim-process.js';
import { TraceHash } from './trace-hash.js';

/** One line of what happened. */
export interface TraceLine {
  readonly at: number;
  readonly who: string;
  readonly what: string;
}

/** How many events run before Node's own event loop has its turn. */
const eventsPerTurn = 64;
const keptLines = 200_000;

/**
 * Virtual time: events happen one after the other, each with all the promises that it settles, and nothing else runs.
 *
 * T1. The same seed and plan give the same events in the same order: time, chance and turns of the event loop come from here.
 * T2. What code does belongs to the process whose event runs; processes meet only through events.
 */
export class Timeline {
  /** True time, ms since the beginning. */
  now = 0;
  /** Wall time of the beginning. */
  readonly epochMs = 1_700_000_000_000;
  readonly random: SeededRandom;
  readonly processes = new Set<SimProcess>();
  readonly lines: TraceLine[] | null;
  readonly #queue = new EventQueue();
  readonly #hash = new TraceHash();
  #order = 0;
  #current: SimProcess | null = null;
  #events = 0;
  /** Thrown by code that nobody catches. */
  onUncaught: (error: unknown, process: SimProcess | null) => void = () => undefined;

  constructor(random: SeededRandom, options: { readonly isTraced: boolean }) {
    this.random = random;
    this.lines = options.isTraced ? [] : null;
  }

  /** Whose code runs. @throws outside of an event */
  get current(): SimProcess {
    if (this.#current === null) throw new Error('no process runs now');
    return this.#current;
  }

  get events(): number {
    return this.#events;
  }

  get hash(): string {
    return this.#hash.text;
  }

  at(at: number, event: { process: SimProcess; kind: EventKind; task: () => void }): SimEvent {
    const made: SimEvent = { at, order: ++this.#order, ...event };
    this.#queue.push(made);
    return made;
  }

  /** What a stopped process missed happens now. */
  again(event: SimEvent): void {
    event.at = this.now;
    event.order = ++this.#order;
    this.#queue.push(event);
  }

  /** Part of the trace, and of its hash. */
  note(process: SimProcess | null, what: string, detail: string | number = ''): void {
    this.#hash.note(process?.name ?? '', what, detail);
    if (this.lines === null || this.lines.length >= keptLines) return;
    this.lines.push({ at: this.now, who: process?.name ?? '', what: detail === '' ? what : `${what} ${detail}` });
  }

  /** Runs until `end`, or until `isOver` says so after an event. */
  run(end: number, isOver: () => boolean): Promise<void> {
    const onUnhandled = (error: unknown): void => this.onUncaught(error, this.#current);
    process.on('unhandledRejection', onUnhandled);
    setTurnTaker((task) => this.current.soon(task));
    return new Promise<void>((resolve) => {
      let isDone = false;
      const step = (): void => {
        if (!isDone && !isOver() && this.#step(end)) return;
        isDone = true;
      };
      // Promises are settled between two immediates, also of one turn of the event loop.
      const turn = (): void => {
        if (isDone) return resolve();
        for (let i = 0; i < eventsPerTurn; i += 1) realImmediate(step);
        realImmediate(turn);
      };
      turn();
    }).finally(() => {
      this.#current = null;
      process.off('unhandledRejection', onUnhandled);
      setTurnTaker(null);
    });
  }

  /** False: nothing is left to happen before `end`. */
  #step(end: number): boolean {
    for (;;) {
      const event = this.#queue.pop();
      if (event === undefined || event.at > end) {
        if (event !== undefined) this.#queue.push(event);
        this.now = end;
        return false;
      }
      const { task, process } = event;
      if (task === null || !process.isAlive) continue;
      this.now = Math.max(this.now, event.at);
      if (process.isStopped) {
        process.keep(event);
        continue;
      }
      this.#events += 1;
      this.#hash.event(this.now, event.order);
      this.#current = process;
      try {
        task();
      } catch (error) {
        this.onUncaught(error, process);
      }
      return true;
    }
  }
}
