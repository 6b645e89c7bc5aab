import { App, method } from 'holdfast';

export const app = new App('rate-limiter', { entry: import.meta.url });

// One limiter is tiny, so a thousand of them share a container; each still has its own state and its own queue. One that
// nobody has asked for a minute sleeps, which forgets nothing that counts.
@app.cls({ tasksPerContainer: 1_000, idleTimeoutMs: 60_000, memoryMb: 256 })
export class Limiter {
  readonly #limit: number;
  readonly #perMs: number;
  #tokens: number;
  #filledAt = Date.now();

  constructor(limit = 10, perMs = 1_000) {
    this.#limit = limit;
    this.#perMs = perMs;
    this.#tokens = limit;
  }

  /** A token bucket: `limit` at once, then as many in every `perMs`. */
  @method()
  take(): { readonly allowed: boolean; readonly retryAfterMs: number } {
    const now = Date.now();
    this.#tokens = Math.min(this.#limit, this.#tokens + ((now - this.#filledAt) * this.#limit) / this.#perMs);
    this.#filledAt = now;
    if (this.#tokens < 1)
      return { allowed: false, retryAfterMs: Math.ceil(((1 - this.#tokens) * this.#perMs) / this.#limit) };
    this.#tokens--;
    return { allowed: true, retryAfterMs: 0 };
  }
}
