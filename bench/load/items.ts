import { type LoadSample, timed } from './latencies.js';

export interface ItemsPlan {
  /** Generators that are read at the same time. */
  readonly readers: number;
  /** Of each. */
  readonly items: number;
}

/** Reads generators to their end. A latency is the time between two items. @throws when one is missing, doubled or out of order */
export function readItems(open: (count: number) => AsyncIterable<number>, plan: ItemsPlan): Promise<LoadSample> {
  return timed(async (latencies) => {
    const read = async (): Promise<void> => {
      let expected = 0;
      let last = performance.now();
      for await (const item of open(plan.items)) {
        if (item !== expected) throw new Error(`item ${expected} of a generator came as ${item}`);
        expected += 1;
        const now = performance.now();
        latencies.record((now - last) * 1_000);
        last = now;
      }
      if (expected !== plan.items) throw new Error(`a generator of ${plan.items} items ended after ${expected}`);
    };
    await Promise.all(Array.from({ length: plan.readers }, read));
  });
}
