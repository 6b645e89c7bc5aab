import type { Clock, Random } from './clock.js';
import { type HoldfastError, isHoldfastError } from './errors.js';
import type { RetryPolicy } from './manifest.js';
import type { RetryBudget } from './retry-budget.js';

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

export interface FailedAttempt {
  readonly policy: RetryPolicy;
  /** Null: as if there were room for all. */
  readonly budget: RetryBudget | null;
  readonly attempt: number;
  readonly clock: Clock;
  readonly random: Random;
  /** For how long the budget may hold it back beyond its own pause. */
  readonly mostWaitMs: number;
}

/** The pause before the next attempt; null: so many calls of the class are retried that there is no room for one more. */
export function pauseMs({ policy, budget, attempt, clock, random, mostWaitMs }: FailedAttempt): number | null {
  const waitMs = budget === null ? 0 : budget.take(clock.monotonic(), mostWaitMs);
  return waitMs === null ? null : waitMs + retryDelayMs(policy, attempt, random);
}
