import { App, Client } from 'holdfast';
import type { Destination } from '../load/jobs.js';
import type { Target } from '../load/target.js';

type ProductDestination = Destination & { readonly kind: 'holdfast' };

/** In place of a class of app.ts. */
export const functionNames: ReadonlySet<string> = new Set(['echoed', 'pooled']);

/** A program of the user's that calls a function. */
export async function connectFunction({ endpoint, token, className }: ProductDestination): Promise<Target> {
  const client = new Client({ endpoint, token });
  const app = await App.lookup<typeof import('../app.js')>('bench', { client });
  const called = className === 'pooled' ? app.pooled : app.echoed;
  return {
    call: (value) => called(value),
    items: (count) => app.same.map(upTo(count)),
    close: () => client.close(),
  };
}

function* upTo(count: number): Generator<number> {
  for (let item = 0; item < count; item += 1) yield item;
}
