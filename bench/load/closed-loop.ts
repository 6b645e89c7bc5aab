import { type LoadSample, timed } from './latencies.js';
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
export function runClosedLoop(target: Target, plan: LoadPlan): Promise<LoadSample> {
  const { callers, thinkMs } = plan;
  const think = thinkMs === 0 ? null : new ThinkTime(thinkMs);
  const value = makePayload(plan.payload, 'load');
  return timed(async (latencies) => {
    const end = performance.now() + plan.seconds * 1_000;
    const caller = async (_: unknown, index: number): Promise<void> => {
      if (think !== null) await think.pause();
      // Where there are more instances than callers, each caller goes round.
      let turn = index;
      for (let sentAt = performance.now(); sentAt < end; turn += callers) {
        await target.call(value, turn);
        const now = performance.now();
        latencies.record((now - sentAt) * 1_000);
        if (think !== null) await think.pause();
        sentAt = think === null ? now : performance.now();
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
  });
}
