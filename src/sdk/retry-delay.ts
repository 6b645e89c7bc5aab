import type { Random } from '../common/clock.js';
import type { RetryPolicy } from '../common/manifest.js';

/** Exponential, between half and all of it at random, so that callers that failed together do not return together. */
export function retryDelayMs(policy: RetryPolicy, failedAttempts: number, random: Random): number {
  const full = policy.initialDelayMs * policy.backoffCoefficient ** (failedAttempts - 1);
  return Math.min(full, policy.maxDelayMs) * (0.5 + random.next() / 2);
}
