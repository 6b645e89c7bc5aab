import type { Value } from '../load/payload.js';

/** Calls on a connection that answers by number; says how a request should leave. */
export class PendingCalls<Answer = Value> {
  readonly #resolvers = new Map<number, (answer: Answer) => void>();
  #lastRef = 0;

  get size(): number {
    return this.#resolvers.size;
  }

  add(resolve: (answer: Answer) => void): number {
    this.#lastRef = (this.#lastRef + 1) >>> 0;
    this.#resolvers.set(this.#lastRef, resolve);
    return this.#lastRef;
  }

  /** An answer that nobody waits for has come twice. */
  settle(ref: number, answer: Answer): void {
    const resolve = this.#resolvers.get(ref);
    if (resolve === undefined) throw new Error(`an answer to call ${ref}, which nobody waits for`);
    this.#resolvers.delete(ref);
    resolve(answer);
  }
}
