import type { Clock, Timer } from '../../common/clock.js';

/** Lets those who wait at it through whenever something may have changed; a hint, so each looks again by itself. */
export class Turnstile {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  open(): void {
    if (this.#waiting.size === 0) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const pass of waiting) pass();
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Resolves when it opens or after `atMostMs`. @throws the signal's reason */
  pass(atMostMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const leave = () => {
        timer.cancel();
        this.#waiting.delete(pass);
        signal.removeEventListener('abort', abort);
      };
      const pass = () => {
        leave();
        resolve();
      };
      const abort = () => {
        leave();
        reject(signal.reason);
      };
      const timer: Timer = this.#clock.after(atMostMs, pass);
      this.#waiting.add(pass);
      signal.addEventListener('abort', abort, { once: true });
    });
  }
}
