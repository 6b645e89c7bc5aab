import type { Clock, Monotonic, Timer } from './clock.js';

export interface WheelEntry {
  /** Not before this. */
  readonly at: Monotonic;
  /** Null once removed: an entry can be removed by another one that is due in the same turn. */
  due: (() => void) | null;
}

/** So far ahead it looks for what is due next; where nothing is, it looks again then. */
const aheadTicks = 100;

/**
 * Many deadlines behind one timer: an entry is due up to one tick late and costs one Set operation to add and to remove.
 * The timer exists only while there are entries, and is for the next of them.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #ticks = new Map<number, Set<WheelEntry>>();
  #lastTick: number;
  #timer: Timer | null = null;
  /** That `#timer` is for. */
  #armedTick = 0;

  constructor(clock: Clock, tickMs: number) {
    this.#clock = clock;
    this.#tickMs = tickMs;
    this.#lastTick = Math.floor(clock.monotonic() / tickMs);
  }

  /** @param afterMs from now; what is late already is due at the next turn */
  add(afterMs: number, due: () => void): WheelEntry {
    const entry: WheelEntry = { at: this.#clock.monotonic() + Math.max(0, afterMs), due };
    const tick = this.#tickOf(entry);
    const entries = this.#ticks.get(tick);
    if (entries === undefined) this.#ticks.set(tick, new Set([entry]));
    else entries.add(entry);
    if (this.#timer === null || tick < this.#armedTick) this.#arm(tick);
    return entry;
  }

  /** Does nothing for an entry that was due already. */
  remove(entry: WheelEntry): void {
    entry.due = null;
    const tick = this.#tickOf(entry);
    const entries = this.#ticks.get(tick);
    if (entries?.delete(entry) && entries.size === 0) this.#ticks.delete(tick);
  }

  clear(): void {
    this.#ticks.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tickOf(entry: WheelEntry): number {
    return Math.floor(entry.at / this.#tickMs) + 1;
  }

  /** For that tick, or one before it. */
  #arm(tick: number): void {
    const now = this.#clock.monotonic();
    const nowTick = Math.floor(now / this.#tickMs);
    if (this.#timer === null) this.#lastTick = Math.max(this.#lastTick, nowTick - 1);
    else this.#timer.cancel();
    this.#armedTick = Math.min(tick, nowTick + aheadTicks);
    this.#timer = this.#clock.after(Math.max(0, this.#armedTick * this.#tickMs - now), () => this.#turn());
  }

  #turn(): void {
    this.#timer = null;
    const now = Math.floor(this.#clock.monotonic() / this.#tickMs);
    for (const entries of this.#takeDue(now)) {
      for (const entry of entries) entry.due?.();
    }
    if (this.#ticks.size > 0) this.#arm(this.#nextTick(now));
  }

  /** The next one with entries, or one before it. */
  #nextTick(now: number): number {
    const end = now + aheadTicks;
    let tick = now + 1;
    while (tick < end && !this.#ticks.has(tick)) tick += 1;
    return tick;
  }

  /** After a long stop it is cheaper to look at the ticks that exist than at all that passed. */
  #takeDue(now: number): Set<WheelEntry>[] {
    const due: Set<WheelEntry>[] = [];
    if (now - this.#lastTick > this.#ticks.size) {
      const passed = [...this.#ticks.keys()].filter((tick) => tick <= now).sort((a, b) => a - b);
      for (const tick of passed) this.#take(tick, due);
    } else {
      for (let tick = this.#lastTick + 1; tick <= now; tick++) this.#take(tick, due);
    }
    this.#lastTick = now;
    return due;
  }

  #take(tick: number, into: Set<WheelEntry>[]): void {
    const entries = this.#ticks.get(tick);
    if (entries === undefined) return;
    this.#ticks.delete(tick);
    into.push(entries);
  }
}
