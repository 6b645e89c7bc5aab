import type { Clock, Timer } from '../../common/clock.js';
import type { HoldfastError } from '../../common/errors.js';

const connectMs = 3_000;
/** Until an answer begins, to a request that is short. */
const answerMs = 8_000;
/** A request in which no byte moves is given up; what is sent stays in buffers of this host for a while before it does. */
const silentMs = 15_000;
/** By the client library; an answer that breaks off in the middle is not among what it tries again. */
const requestAttempts = 2;
const operationAttempts = 6;
/** An operation that fails later is not tried again: who asked for it decides. */
const againWithinMs = 10_000;
/** Requests share a link with many others; what comes slower than this is not waited for. */
const slowestBytesPerS = 16_384;

/** How the client library speaks to servers: it watches for bytes, as a request that moves many of them may take long. */
export const s3Settings = {
  // Readers compare hashes of their own; servers that are not AWS refuse the checksums that the client would add.
  requestChecksumCalculation: 'WHEN_REQUIRED',
  responseChecksumValidation: 'WHEN_REQUIRED',
  requestHandler: { connectionTimeout: connectMs, socketTimeout: silentMs, throwOnRequestTimeout: true },
  maxAttempts: requestAttempts,
} as const;

/** How a request is sent that has no body. */
export function withoutBody(abortSignal: AbortSignal): {
  readonly abortSignal: AbortSignal;
  readonly requestTimeout: number;
} {
  return { abortSignal, requestTimeout: answerMs };
}

/** What is done to a bucket. */
export interface S3Task {
  /** For messages. */
  readonly what: string;
  /** That are sent. */
  readonly bytes?: number;
  /** It must not happen late, or twice. */
  readonly isOnce?: boolean;
}

export interface S3Operation extends Omit<S3Task, 'what'> {
  readonly clock: Clock;
  /** All of its attempts, besides the time that its bytes take. */
  readonly withinMs: number;
  fail(error: unknown): HoldfastError;
  late(afterMs: number): HoldfastError;
}

/**
 * Runs one operation of a bucket, with its deadline and all its attempts.
 *
 * @param run is told by `coming` of how many bytes an answer has
 * @throws what `fail` or `late` makes of it
 */
export async function runOperation<T>(
  { clock, withinMs, bytes = 0, isOnce = false, fail, late }: S3Operation,
  run: (signal: AbortSignal, coming: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const began = clock.monotonic();
  const limitOf = (moving: number): number => withinMs + Math.ceil(moving / slowestBytesPerS) * 1_000;
  const timerOf = (afterMs: number): Timer => clock.after(afterMs, () => over.abort());
  let limitMs = limitOf(bytes);
  let timer = timerOf(limitMs);
  const allow = (coming: number): void => {
    timer.cancel();
    limitMs = limitOf(coming);
    timer = timerOf(limitMs);
  };
  try {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run(over.signal, allow);
      } catch (error) {
        if (over.signal.aborted) throw late(limitMs);
        const failure = fail(error);
        const isLast = isOnce || attempt === operationAttempts || clock.monotonic() - began >= againWithinMs;
        if (!failure.retryable || isLast) throw failure;
      }
    }
  } finally {
    timer.cancel();
  }
}
