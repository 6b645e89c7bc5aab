import type { ColdPlan } from './jobs.js';
import { Latencies, type LoadResult } from './latencies.js';
import { makePayload } from './payload.js';

/** What every first call of a name carries. */
export const coldPayload = makePayload({ bytes: 100, as: 'text' }, 'cold');

/** Callers that each take the next name that nobody has used, until all are taken. */
export async function runColdNames(plan: ColdPlan, firstCall: (name: string) => Promise<unknown>): Promise<LoadResult> {
  const latencies = new Latencies();
  const start = performance.now();
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < plan.names) {
      const sentAt = performance.now();
      await firstCall(`${plan.prefix}-${next++}`);
      latencies.record((performance.now() - sentAt) * 1_000);
    }
  };
  await Promise.all(Array.from({ length: plan.callers }, caller));
  return latencies.summary((performance.now() - start) / 1_000);
}
