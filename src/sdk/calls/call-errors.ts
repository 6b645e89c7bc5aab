import { HoldfastError, type Outcome } from '../../common/errors.js';

/** A refusal: the right to call, which a router gives for an hour, is over, and another one is there for the asking. */
export function hasExpired({ code, outcome, details }: HoldfastError): boolean {
  return code === 'PermissionDenied' && outcome === 'not-run' && details['reason'] === 'expired';
}

/** The errors that a client raises for its calls by itself; `what` is `app/Class/id.method`. */
export function cancelled(what: string, outcome: Outcome): HoldfastError {
  const when = { 'not-run': 'before it ran', ran: 'after it had run', unknown: 'while it was at the worker' }[outcome];
  return new HoldfastError('Cancelled', `${what} was cancelled ${when}`, { outcome });
}

export function deadlineExceeded(what: string, outcome: 'not-run' | 'unknown'): HoldfastError {
  const when = outcome === 'not-run' ? 'before it could be sent to its worker' : 'without an answer of its worker';
  return new HoldfastError('DeadlineExceeded', `${what}: its timeoutMs was over ${when}`, {
    outcome,
    details: { limit: 'caller' },
  });
}

export function outcomeUnknown(what: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'OutcomeUnknown',
    `${what}: the connection to its worker was lost while it was there; it may have run. Methods that may run again are declared with @method({ idempotent: true })`,
    { outcome: 'unknown', cause },
  );
}

export function streamLost(what: string, cause: unknown): HoldfastError {
  return new HoldfastError(
    'StreamLost',
    `${what}: the connection to its worker was lost between two values; values that arrived before were delivered`,
    { outcome: 'unknown', cause },
  );
}

/** Its instance answered `Moved`, or could not be reached, for a minute, and the caller set no limit of its own. */
export function neverSettled(what: string): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    `${what}: its instance went on moving for ${maxMovingMs / 1000} s; see explain() of the instance, and call again`,
    { outcome: 'not-run' },
  );
}

export function tooManyWaiting(what: string, limit: number): HoldfastError {
  return new HoldfastError(
    'PendingLimitExceeded',
    `${what}: ${limit} calls of this client wait for its instance to be reachable; call again later`,
    { details: { limit, pending: limit } },
  );
}

export function clientClosed(what: string, outcome: 'not-run' | 'unknown'): HoldfastError {
  return new HoldfastError('Cancelled', `${what}: its client was closed`, { outcome });
}

/** How long a call without a deadline of its own follows an instance that moves. */
export const maxMovingMs = 60_000;
