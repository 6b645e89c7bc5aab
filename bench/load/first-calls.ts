import { setTimeout as delay } from 'node:timers/promises';
import { type LoadSample, timed } from './latencies.js';
import { makePayload } from './payload.js';
import type { Target } from './target.js';

export interface FirstCallsPlan {
  readonly className: string;
  readonly callers: number;
  readonly names: number;
  /** Before each call of each caller. */
  readonly pauseMs: number;
  /** Of the names: no two plans share one. */
  readonly prefix: string;
  /** False: they stay, and nothing here holds on to them. */
  readonly endsLater: boolean;
}

export const firstPayload = makePayload({ bytes: 100, as: 'text' }, 'cold');

/** Names that nobody has used, each with its first call, and all ended together afterwards. */
export class FirstCalls {
  #ends: (() => Promise<void>)[] = [];

  run(firstCall: NonNullable<Target['firstCall']>, plan: FirstCallsPlan): Promise<LoadSample> {
    const { className, callers, names, pauseMs, prefix, endsLater } = plan;
    return timed(async (latencies) => {
      let next = 0;
      const caller = async (): Promise<void> => {
        while (next < names) {
          const name = `${prefix}-${next++}`;
          if (pauseMs > 0) await delay(pauseMs);
          const start = performance.now();
          const end = await firstCall(className, name);
          latencies.record((performance.now() - start) * 1_000);
          if (endsLater) this.#ends.push(end);
        }
      };
      await Promise.all(Array.from({ length: callers }, caller));
    });
  }

  async end(): Promise<void> {
    const ends = this.#ends;
    this.#ends = [];
    for (const end of ends) await end();
  }
}
