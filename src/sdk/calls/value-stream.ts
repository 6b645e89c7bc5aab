import { decodeValue } from '../../wire/codec/codec.js';
import { initialYieldCreditBytes, yieldOverheadBytes } from '../../wire/frames/frames.js';
import type { RemoteCall } from './remote-call.js';

interface Value {
  readonly bytes: Uint8Array;
  readonly costBytes: number;
}

type Reader = {
  readonly resolve: (step: IteratorResult<unknown, undefined>) => void;
  readonly reject: (error: unknown) => void;
};

/** How a stream ended: `open` while it has not. */
type Ending =
  | { readonly phase: 'open' }
  | { readonly phase: 'done' }
  | { readonly phase: 'failed'; readonly error: unknown };

const over: IteratorResult<unknown, undefined> = { done: true, value: undefined };
/** Credit is given back in pieces of this size, not for each value. */
const grantBytes = initialYieldCreditBytes / 4;

/**
 * The values of one generator call, in order; the call starts with the first `next()` (C8).
 *
 * I1. What is buffered and on its way never costs more than the initial credit, plus the rest of one value larger than it.
 * I2. Leaving the loop abandons the call, whatever it is doing.
 */
export class ValueStream implements AsyncIterator<unknown, undefined, undefined> {
  readonly #begin: (stream: ValueStream) => RemoteCall;
  #call: RemoteCall | null = null;
  #ending: Ending = { phase: 'open' };
  readonly #values: Value[] = [];
  readonly #readers: Reader[] = [];
  /** Bytes that arrived and whose credit was not given back. */
  #owedBytes = 0;
  /** Of those, what was taken by the reader. */
  #takenBytes = 0;
  /** Credit given for a value that had not been taken, because it was larger than what was left. */
  #advancedBytes = 0;
  /** A value has arrived: from here on the call cannot start anew unseen. */
  hasBegun = false;

  /** @param begin makes and starts the call */
  constructor(begin: (stream: ValueStream) => RemoteCall) {
    this.#begin = begin;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const value = this.#values.shift();
    if (value !== undefined) return this.#take(value);
    if (this.#ending.phase === 'done') return Promise.resolve(over);
    if (this.#ending.phase === 'failed') {
      const { error } = this.#ending;
      this.#ending = { phase: 'done' };
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
      this.#call ??= this.#begin(this);
    });
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    const wasOpen = this.#ending.phase === 'open';
    this.#ending = { phase: 'done' };
    this.#values.length = 0;
    if (wasOpen) this.#call?.abandon();
    for (const reader of this.#readers.splice(0)) reader.resolve(over);
    return Promise.resolve(over);
  }

  /** Bytes of a value came in, whole or in part. */
  arrived(bytes: number, isFirstPart: boolean): void {
    this.hasBegun = true;
    this.#owedBytes += bytes + (isFirstPart ? yieldOverheadBytes : 0);
  }

  /** More of the current value is to come: its sender must not wait for a reader who waits for it. */
  advance(): void {
    if (this.#owedBytes < initialYieldCreditBytes / 2) return;
    const bytes = this.#owedBytes;
    this.#advancedBytes += bytes - this.#takenBytes;
    this.#takenBytes = 0;
    this.#owedBytes = 0;
    this.#call?.session?.credit(this.#call, bytes);
  }

  /** A value is complete. */
  push(bytes: Uint8Array): void {
    if (this.#ending.phase !== 'open') return;
    const value = { bytes, costBytes: bytes.length + yieldOverheadBytes };
    const reader = this.#readers.shift();
    if (reader === undefined) this.#values.push(value);
    else this.#take(value).then(reader.resolve, reader.reject);
  }

  end(): void {
    if (this.#ending.phase !== 'open') return;
    this.#ending = { phase: 'done' };
    for (const reader of this.#readers.splice(0)) reader.resolve(over);
  }

  fail(error: unknown): void {
    if (this.#ending.phase !== 'open') return;
    const [first, ...others] = this.#readers.splice(0);
    this.#ending = first === undefined ? { phase: 'failed', error } : { phase: 'done' };
    first?.reject(error);
    for (const reader of others) reader.resolve(over);
  }

  #take(value: Value): Promise<IteratorResult<unknown, undefined>> {
    const absorbed = Math.min(this.#advancedBytes, value.costBytes);
    this.#advancedBytes -= absorbed;
    this.#takenBytes += value.costBytes - absorbed;
    if (this.#takenBytes >= grantBytes && this.#ending.phase === 'open') this.#giveBack();
    try {
      return Promise.resolve({ done: false, value: decodeValue(value.bytes) });
    } catch (e) {
      void this.return();
      return Promise.reject(e);
    }
  }

  #giveBack(): void {
    const bytes = this.#takenBytes;
    this.#takenBytes = 0;
    this.#owedBytes -= bytes;
    this.#call?.session?.credit(this.#call, bytes);
  }
}
