import { initialYieldCreditBytes, inlinePayloadBytes, yieldOverheadBytes } from '../../wire/frames/frames.js';

/** Where the values of a generator go. */
export interface PumpSink {
  /** The socket is full: wait for `resume`. */
  readonly isBlocked: boolean;
  /** @throws where the value cannot be sent */
  encode(value: unknown): Uint8Array;
  /** The beginning of a value of `totalBytes`. */
  first(totalBytes: number, bytes: Uint8Array): void;
  /** More of the current value. */
  more(bytes: Uint8Array): void;
  /** It has ended: by itself, stopped, by what it threw, or by a value that cannot be sent. */
  ended(end: PumpEnd): void;
}

export type PumpEnd =
  | { readonly how: 'finished' }
  | { readonly how: 'stopped' }
  | { readonly how: 'threw'; readonly thrown: unknown }
  | { readonly how: 'refused'; readonly error: unknown };

/**
 * Pulls values out of a generator as long as its reader has credit for them (C8). A value may overdraw the credit by its first
 * part or by one chunk; then everything waits.
 */
export class GeneratorPump {
  readonly #iterator: AsyncIterator<unknown, void, undefined>;
  readonly #sink: PumpSink;
  #credit = initialYieldCreditBytes;
  #isStopped = false;
  #wake: (() => void) | null = null;

  constructor(iterator: AsyncIterator<unknown, void, undefined>, sink: PumpSink) {
    this.#iterator = iterator;
    this.#sink = sink;
  }

  /** Until the generator's code has ended; never rejects. */
  async run(): Promise<void> {
    const end = await this.#pull();
    // One that is left early has not stopped before its `return()` has; what its `finally` throws has no reader.
    if (end.how === 'stopped' || end.how === 'refused') await this.#iterator.return?.().catch(() => undefined);
    this.#sink.ended(end);
  }

  /** The reader has taken values that cost this much. */
  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#wake?.();
  }

  /** The socket takes bytes again. */
  resume(): void {
    this.#wake?.();
  }

  /** No more values are wanted. */
  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  async #pull(): Promise<PumpEnd> {
    for (;;) {
      if (!this.#maySend()) await this.#untilMaySend();
      if (this.#isStopped) return { how: 'stopped' };
      let step: IteratorResult<unknown, void>;
      try {
        step = await this.#iterator.next();
      } catch (thrown) {
        return { how: 'threw', thrown };
      }
      if (step.done) return { how: 'finished' };
      if (this.#isStopped) return { how: 'stopped' };
      try {
        const bytes = this.#sink.encode(step.value);
        this.#sink.first(bytes.length, bytes.subarray(0, inlinePayloadBytes));
        this.#credit -= Math.min(bytes.length, inlinePayloadBytes) + yieldOverheadBytes;
        if (bytes.length > inlinePayloadBytes) await this.#sendRest(bytes);
      } catch (error) {
        return { how: 'refused', error };
      }
    }
  }

  async #sendRest(bytes: Uint8Array): Promise<void> {
    for (let at = inlinePayloadBytes; at < bytes.length; at += inlinePayloadBytes) {
      if (!this.#maySend()) await this.#untilMaySend();
      if (this.#isStopped) return;
      const chunk = bytes.subarray(at, at + inlinePayloadBytes);
      this.#sink.more(chunk);
      this.#credit -= chunk.length;
    }
  }

  #maySend(): boolean {
    return this.#credit > 0 && !this.#sink.isBlocked;
  }

  async #untilMaySend(): Promise<void> {
    while (!(this.#maySend() || this.#isStopped)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}
