import { HoldfastError, type Outcome } from '../common/errors.js';

/** Told of what no caller hears of: a handler that threw, a subscription that the server refused. */
export type BusErrorListener = (error: unknown, subject: string) => void;

export function busAway(subject: string, outcome: Outcome): HoldfastError {
  return new HoldfastError('Unavailable', `request on ${subject}: the bus is away; it redials by itself`, { outcome });
}

export function nobodyListens(subject: string): HoldfastError {
  return new HoldfastError('Unavailable', `request on ${subject}: nobody listens there`, { outcome: 'not-run' });
}

export function noAnswer(subject: string, timeoutMs: number): HoldfastError {
  return new HoldfastError('Unavailable', `request on ${subject}: no answer within ${timeoutMs} ms`, {
    outcome: 'unknown',
  });
}

export function requestCancelled(subject: string, outcome: Outcome, cause: unknown): HoldfastError {
  return new HoldfastError('Cancelled', `request on ${subject} was cancelled by its caller`, { outcome, cause });
}

/** @throws PayloadTooLarge */
export function checkPayload(subject: string, payload: Uint8Array, maxBytes: number): void {
  if (payload.byteLength <= maxBytes) return;
  throw new HoldfastError(
    'PayloadTooLarge',
    `message on ${subject} has ${payload.byteLength} bytes: the bus takes at most ${maxBytes}`,
    { details: { bytes: payload.byteLength, maxBytes } },
  );
}
