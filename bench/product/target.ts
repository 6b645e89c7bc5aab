import { Client, Cls } from 'holdfast';
import type { Echo } from '../app.js';
import { coldPayload, runColdNames } from '../load/cold-names.js';
import type { Destination, FirstCallsPlan, ItemsPlan } from '../load/jobs.js';
import { Latencies, type LoadResult } from '../load/latencies.js';
import type { ColdTarget } from '../load/target.js';

/** A program of the user's, with the SDK. */
export interface ProductTarget extends ColdTarget {
  /** Reads generators to their end. A latency is the time between two items. */
  items(plan: ItemsPlan): Promise<LoadResult>;
  /** One new name after the other, with pauses in which the pool of warm containers fills again. */
  firstCalls(plan: FirstCallsPlan): Promise<LoadResult>;
}

type ProductDestination = Destination & { readonly kind: 'holdfast' };

export async function connectProduct({ endpoint, token, className }: ProductDestination): Promise<ProductTarget> {
  const client = new Client({ endpoint, token });
  const classNamed = (name: string): Promise<Cls<typeof Echo>> => Cls.fromName<typeof Echo>('bench', name, { client });
  const instance = await (await classNamed(className)).named('warm');

  const firstCall = async (cls: Cls<typeof Echo>, name: string): Promise<() => Promise<void>> => {
    const cold = await cls.named(name);
    await cold.echo(coldPayload);
    return async () => void (await cold.close());
  };

  return {
    call: (value) => instance.echo(value),
    executed: () => instance.executed(),
    close: () => client.close(),

    items: ({ readers, items }) =>
      timed(async (latencies) => {
        const read = async (): Promise<void> => {
          let expected = 0;
          let last = performance.now();
          for await (const item of instance.count(items)) {
            if (item !== expected) throw new Error(`item ${expected} of a generator came as ${item}`);
            expected += 1;
            const now = performance.now();
            latencies.record((now - last) * 1_000);
            last = now;
          }
          if (expected !== items) throw new Error(`a generator of ${items} items ended after ${expected}`);
        };
        await Promise.all(Array.from({ length: readers }, read));
      }),

    coldNames: async (plan) => {
      const cls = await classNamed(plan.className);
      return runColdNames(plan, (name) => firstCall(cls, name));
    },

    firstCalls: ({ className: name, calls, pauseMs, prefix }) =>
      timed(async (latencies) => {
        const cls = await classNamed(name);
        for (let call = 0; call < calls; call += 1) {
          await new Promise((resolve) => setTimeout(resolve, pauseMs));
          const start = performance.now();
          const close = await firstCall(cls, `${prefix}-${call}`);
          latencies.record((performance.now() - start) * 1_000);
          await close();
        }
      }),
  };
}

async function timed(work: (latencies: Latencies) => Promise<void>): Promise<LoadResult> {
  const latencies = new Latencies();
  const start = performance.now();
  await work(latencies);
  return latencies.summary((performance.now() - start) / 1_000);
}
