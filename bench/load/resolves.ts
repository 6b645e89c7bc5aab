import { type LoadSample, timed } from './latencies.js';
import type { Target } from './target.js';

export interface ResolvesPlan {
  readonly className: string;
  readonly callers: number;
  readonly seconds: number;
  /** Names are `nameOfPin(0)` to `nameOfPin(names - 1)`. */
  readonly names: number;
}

/** Far from any small number of names, and a prime: all are asked for before one comes again. */
const stride = 7_368_787;

export function nameOfPin(index: number): string {
  return `pin-${index}`;
}

/** Asks where existing instances are, each time another one, as if at random: what was asked last is in no cache. */
export function runResolves(resolve: NonNullable<Target['resolve']>, plan: ResolvesPlan): Promise<LoadSample> {
  const { className, callers, seconds, names } = plan;
  return timed(async (latencies) => {
    const end = performance.now() + seconds * 1_000;
    let at = Math.floor(Math.random() * names);
    const caller = async (): Promise<void> => {
      for (let sentAt = performance.now(); sentAt < end; ) {
        at = (at + stride) % names;
        await resolve(className, nameOfPin(at));
        const now = performance.now();
        latencies.record((now - sentAt) * 1_000);
        sentAt = now;
      }
    };
    await Promise.all(Array.from({ length: callers }, caller));
  });
}
