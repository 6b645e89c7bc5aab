/** Starts a cluster of its own, says where it is, and ends it when its standard input does. */
export const clusterProgram = `
import { text } from 'node:stream/consumers';
import { startCluster } from 'holdfast/testing';
const cluster = await startCluster({ mode: 'embedded' });
console.log(JSON.stringify({ HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token }));
await text(process.stdin);
await cluster.close();
`;

export const counterModule = `
import { App, method } from 'holdfast';
export const app = new App('counting');
@app.cls()
export class Counter {
  #count = 0;
  @method()
  add(by = 1) {
    if (typeof by !== 'number') throw new TypeError('not a number');
    this.#count += by;
    return this.#count;
  }
}
`;

export const clientProgram = `
import { Cls, isHoldfastError } from 'holdfast';
const Counter = await Cls.fromName('counting', 'Counter');
const counter = await Counter.named('a');
console.log(await counter.add(2), await counter.add(3));
const error = await counter.add('one').catch((e) => e);
console.log(isHoldfastError(error, 'UserError'), error.cause.name, error.cause.message);
`;

export const typedProgram = `
import { App, isHoldfastError } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';

export async function first(cluster: TestCluster): Promise<number> {
  await cluster.deploy(new URL('./app.ts', import.meta.url));
  const shop = await App.lookup<typeof import('./app.js')>('shop', cluster);
  const basket = await shop.Basket.named('ada');
  const items: readonly string[] = await basket.add('bread');
  // @ts-expect-error The argument is a string.
  await basket.add(1).catch((e: unknown) => isHoldfastError(e, 'UserError'));
  // @ts-expect-error Hooks are not methods.
  basket.open;
  return items.length;
}
export const start = (): Promise<TestCluster> => startCluster({ mode: 'embedded' });
`;
