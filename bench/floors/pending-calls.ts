import type { Value } from '../load/payload.js';

/** Calls on a connection that answers by number; says how a request should leave. */
export class PendingCalls {
  readonly #resolvers = new Map<number, (answer: Value) => void>();
  #lastRef = 0;

  get size(): number {
    return this.#resolvers.size;
  }

  add(resolve: (answer: Value) => void): number {
    this.#lastRef = (this.#lastRef + 1) >>> 0;
    this.#resolvers.set(this.#lastRef, resolve);
    return this.#lastRef;
  }

  /** An answer that nobody waits for has come twice. */
  settle(ref: number, answer: Value): void {
    const resolve = this.#resolvers.get(ref);
    if (resolve === undefined) throw new Error(`an answer to call ${ref}, which nobody waits for`);
    this.#resolvers.delete(ref);
    resolve(answer);
  }
}
