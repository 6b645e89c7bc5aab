import type { Clock, Monotonic } from '../common/clock.js';

/** What a container may say at once, and for how long on end. */
const burstBytes = 4_194_304;
const bytesPerSecond = 1_048_576;
/** What a line costs besides its text. */
const lineBytes = 128;

/**
 * How much one container may say: its lines go to a bus that has no back-pressure, and must not cost its worker the time that
 * calls need. What it says beyond that is dropped and counted.
 */
export class LogGate {
  readonly #clock: Clock;
  #left = burstBytes;
  #filledAt: Monotonic;
  #dropped = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.monotonic();
  }

  /** False: this line is dropped. */
  admit(textBytes: number): boolean {
    const now = this.#clock.monotonic();
    this.#left = Math.min(burstBytes, this.#left + ((now - this.#filledAt) * bytesPerSecond) / 1_000);
    this.#filledAt = now;
    const cost = textBytes + lineBytes;
    if (this.#left < cost) {
      this.#dropped++;
      return false;
    }
    this.#left -= cost;
    return true;
  }

  /** How many were dropped since this was last asked. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }
}
