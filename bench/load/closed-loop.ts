import { Latencies, type LoadResult } from './latencies.js';
import { makePayload, type PayloadPlan } from './payload.js';
import type { Target } from './target.js';
import { ThinkTime } from './think-time.js';

export interface LoadPlan {
  readonly callers: number;
  readonly payload: PayloadPlan;
  readonly seconds: number;
  /** Each caller pauses for a random time up to this between its calls; 0: not at all. */
  readonly thinkMs: number;
}

/** Callers that each send their next call when they have the answer to the last one. */
export async function runClosedLoop(target: Target, plan: LoadPlan): Promise<LoadResult> {
  const latencies = new Latencies();
  const think = plan.thinkMs === 0 ? null : new ThinkTime(plan.thinkMs);
  const value = makePayload(plan.payload, 'load');
  const start = performance.now();
  const end = start + plan.seconds * 1_000;
  const caller = async (): Promise<void> => {
    if (think !== null) await think.pause();
    for (let sentAt = performance.now(); sentAt < end; ) {
      await target.call(value);
      const now = performance.now();
      latencies.record((now - sentAt) * 1_000);
      if (think !== null) await think.pause();
      sentAt = think === null ? now : performance.now();
    }
  };
  await Promise.all(Array.from({ length: plan.callers }, caller));
  return latencies.summary((performance.now() - start) / 1_000);
}
