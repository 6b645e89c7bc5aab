import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ControlRequest } from '../../wire/gen/holdfast/v1/router.js';

/** What one request asks; a `cancel` is the session's own. */
export type ControlOp = Exclude<NonNullable<ControlRequest['op']>, { $case: 'cancel' }>;

export function unreachable(endpoint: string, cause: unknown): HoldfastError {
  const why = cause instanceof Error ? / cannot be reached: (.+)/.exec(cause.message)?.[1] : undefined;
  return new HoldfastError(
    'Unavailable',
    `no router answers at ${endpoint}${why === undefined ? '' : ` (${why})`}; start one with \`holdfast dev\`, or set HOLDFAST_ENDPOINT`,
    { details: { endpoint }, cause: cause ?? undefined },
  );
}

/** What is told of one that cannot serve: its own word, where it gave one. */
export function cannotServe(endpoint: string, last: HoldfastError): HoldfastError {
  if (last.details['endpoint'] !== undefined) return unreachable(endpoint, last);
  const { message, outcome, retryable, details } = last;
  return new HoldfastError('Unavailable', message, {
    ...{ outcome, retryable, cause: last },
    details: { ...details, endpoint },
  });
}

export function noAnswer(op: ControlOp, endpoint: string, limitMs: number): HoldfastError {
  const outcome = op.$case === 'resolve' || op.$case === 'attach' ? 'not-run' : 'unknown';
  return new HoldfastError('DeadlineExceeded', `the router at ${endpoint} did not ${op.$case} within ${limitMs} ms`, {
    outcome,
    details: { endpoint, limitMs },
  });
}

export function cancelled(op: ControlOp, outcome: 'not-run' | 'unknown'): HoldfastError {
  return new HoldfastError('Cancelled', `the ${op.$case} was cancelled`, { outcome });
}

export function tooMany(maxOutstanding: number): HoldfastError {
  return new HoldfastError(
    'PendingLimitExceeded',
    `${maxOutstanding} requests of this client wait for its router; wait for some of them first`,
    { details: { limit: maxOutstanding, pending: maxOutstanding } },
  );
}

export function wrongAnswer(asked: string, got: string): HoldfastError {
  return new HoldfastError('Internal', `the router answered '${asked}' with '${got}'`, { outcome: 'unknown' });
}

/** A token that is refused will be refused again. */
export function isFinal(error: Error | null): error is HoldfastError {
  return (
    isHoldfastError(error) && error.code !== 'Unavailable' && error.code !== 'Internal' && error.code !== 'Cancelled'
  );
}
