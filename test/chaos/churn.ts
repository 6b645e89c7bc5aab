import { setTimeout as delay } from 'node:timers/promises';
import { isHoldfastError } from 'holdfast';
import type { World } from './world.js';

const lanes = 4;
const pauseMs = 50;
const timeoutMs = 60_000;

let generations = 0;

/**
 * Clients that come, make an instance, call it, close it and go; their calls are judged with those of the load. Gives how many
 * came, once `signal` is aborted, or `most` have come.
 */
export async function churn(world: World, signal: AbortSignal, most = Infinity): Promise<number> {
  // Calls have ids, so no two visitors of a world have one name.
  generations += 1;
  const generation = generations;
  let count = 0;
  const lane = async (): Promise<void> => {
    while (!signal.aborted && count < most) {
      count += 1;
      await visit(world, `${generation}-${count}`);
      await delay(pauseMs);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return count;
}

async function visit(world: World, visitor: string): Promise<void> {
  const [caller, instance] = [`v${visitor}`, `visited-${visitor}`];
  const client = world.newClient();
  try {
    const ledger = await (await world.remote(client)).Ledger.named(instance);
    for (const [number, method] of (['append', 'put'] as const).entries())
      await world.load.call({ caller, instance, number, method }, (id) => ledger[method].with({ timeoutMs })(id));
  } catch (error) {
    // A fault may end the request that makes it; what is not an answer of the product is not expected.
    if (!isHoldfastError(error)) throw error;
  }
  await world.forget(client, instance);
}
