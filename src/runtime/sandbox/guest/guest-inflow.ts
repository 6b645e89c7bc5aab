import type { HoldfastError } from '../../../common/errors.js';
import type { GuestLink } from './guest-link.js';

/** Credit that is given back in pieces of this, at the least: a frame for each small read would double the frames. */
const minGrantParts = 4;

/** Keeps what the guest may send for one ref at `windowBytes` above what was taken. */
export class GuestCredit {
  readonly #link: GuestLink;
  readonly #ref: number;
  readonly #minGrantBytes: number;
  #owed = 0;

  constructor(link: GuestLink, ref: number, windowBytes: number) {
    this.#link = link;
    this.#ref = ref;
    this.#minGrantBytes = windowBytes / minGrantParts;
    link.grant(ref, windowBytes, true);
  }

  taken(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < this.#minGrantBytes) return;
    this.#link.grant(this.#ref, this.#owed);
    this.#owed = 0;
  }
}

export interface GuestInflowHandlers<T> {
  /** Before the first `next`; what it throws the first `next` throws. */
  onStart?(): void;
  onTaken(value: T): void;
  /** Its reader stops before the end. */
  onReturn(): void;
}

/** What has come and was not taken yet, for one reader. */
export class GuestInflow<T> implements AsyncIterableIterator<T> {
  readonly #handlers: GuestInflowHandlers<T>;
  #isStarted = false;
  readonly #pieces: T[] = [];
  #end: { readonly error: HoldfastError | null } | null = null;
  #waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }[] = [];

  constructor(handlers: GuestInflowHandlers<T>) {
    this.#handlers = handlers;
  }

  /** What was pushed and not taken. */
  get waitingCount(): number {
    return this.#pieces.length;
  }

  push(value: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#pieces.push(value);
      return;
    }
    waiting.resolve({ done: false, value });
    this.#handlers.onTaken(value);
  }

  /** After what has come; with an error its readers get that. */
  end(error: HoldfastError | null): void {
    if (this.#end !== null) return;
    this.#end = { error };
    for (const waiting of this.#waiting.splice(0)) this.#finish(waiting);
  }

  next(): Promise<IteratorResult<T>> {
    if (!this.#isStarted) this.#start();
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#handlers.onTaken(piece);
      return Promise.resolve({ done: false, value: piece });
    }
    return new Promise((resolve, reject) => {
      if (this.#end === null) this.#waiting.push({ resolve, reject });
      else this.#finish({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T>> {
    this.#pieces.length = 0;
    if (this.#end === null && this.#isStarted) this.#handlers.onReturn();
    this.#isStarted = true;
    this.end(null);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #start(): void {
    this.#isStarted = true;
    try {
      this.#handlers.onStart?.();
    } catch (error) {
      this.end(error as HoldfastError);
    }
  }

  /** Once with the error, then as any iterator that has ended. */
  #finish(waiting: { resolve(result: IteratorResult<T>): void; reject(error: unknown): void }): void {
    const error = this.#end?.error ?? null;
    this.#end = { error: null };
    if (error === null) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(error);
  }
}
