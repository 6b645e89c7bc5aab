import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { type Check, expected, isPlainObject } from '../../common/option-checks.js';

/**
 * How long a caller waits, and what ends its waiting: every asynchronous call of this package takes both. It throws `Cancelled` or
 * `DeadlineExceeded` then, whose `outcome` is `unknown` once something was sent.
 */
export interface CallLimits {
  readonly signal?: AbortSignal | undefined;
  /** Of all of it, however many requests it takes. */
  readonly timeoutMs?: number | undefined;
}

export const limitChecks = {
  signal: (value: unknown) => (value instanceof AbortSignal ? null : 'an AbortSignal'),
  timeoutMs: expected.above(0),
} as const satisfies Readonly<Record<keyof CallLimits, Check>>;

/** The limits of one call, shared by all that it asks for. */
export class Limits {
  readonly signal: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #what: string;
  readonly #timeoutMs: number | undefined;
  readonly #deadline: Monotonic;

  /**
   * Those that are given, checked by `limitChecks`; undefined: none are.
   *
   * @param what the call, for messages
   * @throws Cancelled where the signal is aborted already: nothing shall be sent
   */
  static of(clock: Clock, what: string, given: CallLimits): Limits | undefined {
    const { signal, timeoutMs } = given;
    if (signal === undefined && timeoutMs === undefined) return undefined;
    if (signal?.aborted) throw new HoldfastError('Cancelled', `${what} was cancelled before it began`);
    return new Limits(clock, what, given);
  }

  private constructor(clock: Clock, what: string, { signal, timeoutMs }: CallLimits) {
    this.signal = signal;
    this.#clock = clock;
    this.#what = what;
    this.#timeoutMs = timeoutMs;
    this.#deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : clock.monotonic() + timeoutMs;
  }

  /** What is left of the time, at least 1 ms so that whoever is asked says that it is over; undefined: there is no limit. */
  get leftMs(): number | undefined {
    if (this.#timeoutMs === undefined) return undefined;
    return Math.max(1, Math.ceil(this.#deadline - this.#clock.monotonic()));
  }

  /** For one of its requests. */
  get rest(): CallLimits {
    return { signal: this.signal, timeoutMs: this.leftMs };
  }

  /** The outcome of the work, or why it is not waited for any longer; it ends by itself, with its requests. */
  async during<T>(work: Promise<T>): Promise<T> {
    let onAbort = (): void => undefined;
    let onLate = (): void => undefined;
    const over = new Promise<never>((_, reject) => {
      onAbort = () => reject(this.#cancelled());
      onLate = () => reject(this.#late());
    });
    const { signal, leftMs } = this;
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = leftMs === undefined ? null : this.#clock.after(leftMs, onLate);
    try {
      return await Promise.race([over, work]);
    } catch (e) {
      // What a transport makes of an abort has no code.
      throw signal?.aborted && !isHoldfastError(e) ? this.#cancelled() : e;
    } finally {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #cancelled(): HoldfastError {
    return new HoldfastError('Cancelled', `${this.#what} was cancelled`, { outcome: 'unknown' });
  }

  #late(): HoldfastError {
    const message = `${this.#what}: its timeoutMs of ${this.#timeoutMs} was over before it was done`;
    const details = { limit: 'caller', timeoutMs: this.#timeoutMs };
    return new HoldfastError('DeadlineExceeded', message, { outcome: 'unknown', details });
  }
}

/**
 * The limits among the options of a call, and its other options: for those of a session, say, limits do not count. What is no object
 * is left to be refused by who checks it.
 */
export function limitsApart<O extends CallLimits>(
  options: O,
): { readonly limits: CallLimits; readonly rest: Omit<O, keyof CallLimits> } {
  if (typeof options !== 'object' || options === null) return { limits: {}, rest: options };
  const { signal, timeoutMs, ...rest } = options;
  return { limits: { signal, timeoutMs }, rest: isPlainObject(options) ? rest : options };
}

/** The same where there may be no limits. */
export function during<T>(limits: Limits | undefined, work: Promise<T>): Promise<T> {
  return limits === undefined ? work : limits.during(work);
}
