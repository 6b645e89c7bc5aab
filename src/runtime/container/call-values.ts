import { HoldfastError, isHoldfastError } from '../../common/errors.js';

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

/** The codec says `not-run` of a value that it refuses; here the user's code has made the value. */
export function afterRunning(error: unknown): unknown {
  if (!isHoldfastError(error)) return error;
  return new HoldfastError(error.code, error.message, { outcome: 'ran', details: error.details, cause: error.cause });
}
