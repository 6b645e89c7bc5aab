import type { Clock, Monotonic } from '../../../common/clock.js';

/** Whose output was taken: it may print on when it is told so. */
export interface PacedOutput {
  acknowledge(bytes: number): void;
}

/** What a worker gives to output that no reader paces. */
const bytesPerMs = 16_384;
/** Paid at once after a while without much output: whoever prints a lot once does not wait. */
const burstBytes = 16_777_216;
const tickMs = 10;
/** Of one command, before the next one has its turn. */
const shareBytes = 131_072;

/**
 * How fast the commands of a worker may print where nobody's reading slows them: a command that prints without end would take
 * the worker's one thread from everybody else.
 *
 * I1. What was taken is paid back in the end; who ended meanwhile needs it no more.
 * I2. Commands that wait are paid in turns, so that one that floods slows itself and not the others.
 */
export class OutputPace {
  readonly #clock: Clock;
  readonly #owed = new Map<PacedOutput, number>();
  #allowance = burstBytes;
  #countedAt: Monotonic;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedAt = clock.monotonic();
  }

  taken(output: PacedOutput, bytes: number): void {
    const isWaiting = this.#owed.size > 0;
    if (!isWaiting && this.#count() >= bytes) {
      this.#allowance -= bytes;
      output.acknowledge(bytes);
      return;
    }
    this.#owed.set(output, (this.#owed.get(output) ?? 0) + bytes);
    if (!isWaiting) this.#payLater();
  }

  #payLater(): void {
    this.#clock.after(tickMs, () => {
      this.#pay();
      if (this.#owed.size > 0) this.#payLater();
    });
  }

  #pay(): void {
    this.#count();
    // Those who wait on come to the end of the line, and so to this loop again.
    for (const [output, owed] of this.#owed) {
      const share = Math.min(owed, shareBytes, this.#allowance);
      if (share === 0) return;
      this.#allowance -= share;
      this.#owed.delete(output);
      if (owed > share) this.#owed.set(output, owed - share);
      output.acknowledge(share);
    }
  }

  /** What may be paid now. */
  #count(): number {
    const now = this.#clock.monotonic();
    this.#allowance = Math.min(burstBytes, this.#allowance + Math.floor((now - this.#countedAt) * bytesPerMs));
    this.#countedAt = now;
    return this.#allowance;
  }
}
