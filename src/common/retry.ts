import type { Random } from './clock.js';
import { type HoldfastError, isHoldfastError } from './errors.js';
import type { RetryPolicy } from './manifest.js';

/** Exponential, between half and all of it at random, so that callers that failed together do not return together. */
export function retryDelayMs(policy: RetryPolicy, failedAttempts: number, random: Random): number {
  const full = policy.initialDelayMs * policy.backoffCoefficient ** (failedAttempts - 1);
  return Math.min(full, policy.maxDelayMs) * (0.5 + random.next() / 2);
}

/** Whether the policy lets a call run again after what its code threw at that attempt; the error itself can refuse (C6). */
export function mayRetry(policy: RetryPolicy, error: HoldfastError, attempt: number): boolean {
  if (!isHoldfastError(error, 'UserError') || attempt > policy.maxRetries) return false;
  return (error.cause as { readonly nonRetryable?: unknown } | null | undefined)?.nonRetryable !== true;
}
