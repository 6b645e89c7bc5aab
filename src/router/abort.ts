import type { HoldfastError } from '../common/errors.js';

/** What can be given up. */
export interface Abortable {
  /** Made when somebody asks for it. */
  readonly signal: AbortSignal;
  /** @throws the reason */
  throwIfAborted(): void;
}

/**
 * An AbortController for work of which nearly all is done in a moment: a signal and its listeners cost more than the rest of
 * a request, so they are made only for those who wait for long.
 */
export class Abort implements Abortable {
  #reason: HoldfastError | null = null;
  #controller: AbortController | null = null;
  readonly #racing = new Set<(reason: HoldfastError) => void>();

  get signal(): AbortSignal {
    if (this.#controller !== null) return this.#controller.signal;
    this.#controller = new AbortController();
    if (this.#reason !== null) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  throwIfAborted(): void {
    if (this.#reason !== null) throw this.#reason;
  }

  /** Idempotent: the first reason stands. */
  abort(reason: HoldfastError): void {
    if (this.#reason !== null) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
    for (const reject of this.#racing) reject(reason);
    this.#racing.clear();
  }

  /** The promise's outcome, or the reason where that comes first. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#reason !== null) reject(this.#reason);
      else this.#racing.add(reject);
      promise.then(
        (value) => {
          this.#racing.delete(reject);
          resolve(value);
        },
        (error: unknown) => {
          this.#racing.delete(reject);
          reject(error);
        },
      );
    });
  }
}
