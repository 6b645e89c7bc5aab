import type { Clock } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Limits } from '../calls/call-limits.js';
import type { MapOptions } from './function-types.js';

/** What a `map` is made of. */
export interface MapParts {
  readonly inputs: Iterable<unknown> | AsyncIterable<unknown>;
  readonly call: (input: unknown, signal: AbortSignal) => Promise<unknown>;
  readonly options: MapOptions;
  /** Of all of it, from the first read on. @throws Cancelled */
  readonly limits?: () => Limits | undefined;
  /** Calls that are under way or ended and not read; at least 1. */
  readonly window: number;
  readonly clock: Clock;
}

/** A result on its way to the reader. */
type Slot =
  | { readonly phase: 'running' }
  | { readonly phase: 'done'; readonly value: unknown }
  | { readonly phase: 'failed'; readonly error: unknown };

const running: Slot = { phase: 'running' };
const over: IteratorResult<unknown, undefined> = { done: true, value: undefined };
/** Where a worker did not say when to come back. */
const comeBackMs = 50;

/**
 * The results of a call for each input.
 *
 * I1. At most `window` inputs are taken and not read as results: memory does not grow with the inputs.
 * I2. No input is taken before the first `next()`, none after the end.
 * I3. The end, whoever makes it, cancels the calls that are under way and closes the inputs, once.
 */
export class MapCalls implements AsyncIterableIterator<unknown, undefined, undefined> {
  readonly #parts: MapParts;
  readonly #stop = new AbortController();
  readonly #isOrdered: boolean;
  /** By the number of their input, in the order in which they are read: all of them, or only those that have ended. */
  readonly #slots = new Map<number, Slot>();
  #source: Iterator<unknown> | AsyncIterator<unknown> | null = null;
  #taken = 0;
  /** Inputs whose results were not read yet. */
  #outstanding = 0;
  /** Its caller waits no longer, whatever is there: told once. */
  #stopped: { readonly error: unknown } | null = null;
  /** Not from the inputs, nor from calls: it comes after the results of those that were taken before. */
  #failure: { readonly error: unknown } | null = null;
  #isExhausted = false;
  #isPulling = false;
  #isOver = false;
  #wakeReader: () => void = ignore;
  #wakeFeeder: () => void = ignore;
  /** Reads are answered in their order. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(parts: MapParts) {
    this.#parts = parts;
    this.#isOrdered = parts.options.ordered ?? true;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const read = this.#reading.then(() => this.#read());
    this.#reading = read.catch(ignore);
    return read;
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#stopped = null;
    await this.#end();
    return over;
  }

  async #read(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#source === null && !this.#isOver) this.#begin();
    for (;;) {
      if (this.#stopped !== null) {
        const { error } = this.#stopped;
        this.#stopped = null;
        throw error;
      }
      if (this.#isOver) return over;
      const ready = this.#takeReady();
      if (ready !== null) {
        this.#wakeFeeder();
        if (ready.phase === 'done') return { done: false, value: ready.value };
        if (this.#parts.options.returnExceptions) return { done: false, value: ready.error };
        await this.#end();
        throw ready.error;
      }
      if (this.#isExhausted && this.#outstanding === 0) return await this.#finish();
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
  }

  async #finish(): Promise<IteratorResult<unknown, undefined>> {
    await this.#end();
    if (this.#failure !== null) throw this.#failure.error;
    return over;
  }

  #begin(): void {
    try {
      this.#source = iteratorOf(this.#parts.inputs);
    } catch (error) {
      this.#isExhausted = true;
      this.#failure = { error };
      return;
    }
    this.#limit();
    if (this.#stopped === null) void this.#feed(this.#source);
  }

  #limit(): void {
    // At once, and not with the next read, which may be far away.
    const stopped = (error: unknown): void => {
      if (this.#isOver) return;
      this.#stopped = { error };
      void this.#end().catch(ignore);
    };
    try {
      const ended = new Promise<void>((resolve) => this.#stop.signal.addEventListener('abort', () => resolve()));
      this.#parts.limits?.()?.during(ended).catch(stopped);
    } catch (error) {
      stopped(error);
    }
  }

  /** `#end` ends it. Never rejects. */
  async #feed(source: Iterator<unknown> | AsyncIterator<unknown>): Promise<void> {
    while (!this.#isOver) {
      if (this.#outstanding >= this.#parts.window) {
        await new Promise<void>((resolve) => {
          this.#wakeFeeder = resolve;
        });
        continue;
      }
      try {
        this.#isPulling = true;
        const pulled = source.next();
        const step = pulled instanceof Promise ? await pulled : pulled;
        this.#isPulling = false;
        if (step.done) break;
        const input = await step.value;
        if (this.#isOver) return;
        this.#start(input);
      } catch (error) {
        this.#isPulling = false;
        this.#failure = { error };
        break;
      }
    }
    this.#isExhausted = true;
    this.#wakeReader();
  }

  #start(input: unknown): void {
    const number = this.#taken;
    this.#taken += 1;
    this.#outstanding += 1;
    if (this.#isOrdered) this.#slots.set(number, running);
    this.#call(input).then(
      (value) => this.#settled(number, { phase: 'done', value }),
      (error: unknown) => this.#settled(number, { phase: 'failed', error }),
    );
  }

  /** Too many that wait are no failure of one input: others share the function, and this one comes back. */
  async #call(input: unknown): Promise<unknown> {
    const { signal } = this.#stop;
    for (;;) {
      try {
        return await this.#parts.call(input, signal);
      } catch (e) {
        if (!isHoldfastError(e, 'PendingLimitExceeded') || e.outcome !== 'not-run') throw e;
        const { retryAfterMs } = e.details;
        await this.#parts.clock.sleep(typeof retryAfterMs === 'number' ? retryAfterMs : comeBackMs, signal);
      }
    }
  }

  #settled(number: number, slot: Slot): void {
    if (this.#isOver) return;
    this.#slots.set(number, slot);
    this.#wakeReader();
  }

  #takeReady(): Exclude<Slot, { phase: 'running' }> | null {
    for (const [number, slot] of this.#slots) {
      if (slot.phase === 'running') return null;
      this.#slots.delete(number);
      this.#outstanding -= 1;
      return slot;
    }
    return null;
  }

  async #end(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#slots.clear();
    this.#stop.abort();
    this.#wakeReader();
    this.#wakeFeeder();
    if (this.#isExhausted || this.#source === null) return;
    const closing = this.#source.return?.();
    // One that is asked for its next input closes when it has that, which may be never.
    if (this.#isPulling) void Promise.resolve(closing).catch(ignore);
    else await closing;
  }
}

/** @throws InvalidArgument for what is not iterable */
function iteratorOf(inputs: Iterable<unknown> | AsyncIterable<unknown>): Iterator<unknown> | AsyncIterator<unknown> {
  const given = inputs as Partial<Iterable<unknown> & AsyncIterable<unknown>> | null | undefined;
  const iterator = given?.[Symbol.asyncIterator]?.() ?? given?.[Symbol.iterator]?.();
  if (iterator !== undefined) return iterator;
  throw new HoldfastError('InvalidArgument', `the inputs of a map must be iterable, got ${typeof inputs}`);
}

function ignore(): void {
  // Nobody waits, or it was told elsewhere.
}
