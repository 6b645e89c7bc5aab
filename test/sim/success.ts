import type { Outcome } from './world.js';

/** Below this share of calls that succeed worlds would show nothing. */
export const leastSuccess = 0.5;

/** The share of the calls of these worlds that succeeded. */
export function shareOfSuccess(outcomes: readonly Pick<Outcome, 'calls' | 'succeeded'>[]): number {
  const calls = outcomes.reduce((sum, outcome) => sum + outcome.calls, 0);
  return calls === 0 ? 1 : outcomes.reduce((sum, outcome) => sum + outcome.succeeded, 0) / calls;
}
