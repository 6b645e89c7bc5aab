/** Type tests of functions, in the compiler of this project and in TypeScript 5.9. Nothing here runs. */
import {
  App,
  type Batch,
  Cls,
  type FunctionCall,
  type FunctionOptions,
  method,
  type RemoteApp,
  type RemoteFunction,
} from 'holdfast';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function check<_T extends true>(): void {
  // Its type argument is the check.
}

const app = new App('function-types');
const options: FunctionOptions = { cpu: 2, maxPendingTasks: 1_000, retries: 3, timeoutMs: 1_000 };

export const square = app.function(async (x: number, _scale: number = 1) => x * x, options);
export const shout = app.function((text: string): string => text.toUpperCase());
export const count = app.function(async function* (upTo: number) {
  for (let value = 0; value < upTo; value += 1) yield value;
});
export const notRemote = 1;

@app.cls({ maxContainers: 4, minContainers: 1, bufferContainers: 1 })
export class Embedder {
  @method({ batch: { maxSize: 32, waitMs: 5 } })
  async embed(texts: Batch<string>): Promise<number[][]> {
    return texts.map((text) => [text.length]);
  }

  @method()
  async list(texts: readonly string[]): Promise<number[]> {
    return texts.map((text) => text.length);
  }
}

export async function functionTypes(): Promise<void> {
  check<Equal<typeof square, RemoteFunction<(x: number, _scale?: number) => Promise<number>>>>();
  check<Equal<ReturnType<typeof square>, Promise<number>>>();
  check<Equal<Awaited<ReturnType<typeof shout.remote>>, string>>();
  check<Equal<ReturnType<typeof shout.local>, string>>();
  check<Equal<ReturnType<typeof square.local>, Promise<number>>>();
  check<Equal<ReturnType<typeof count>, AsyncIterable<number>>>();
  check<Equal<ReturnType<typeof count.remoteGen>, AsyncIterable<number>>>();
  check<Equal<ReturnType<typeof square.remoteGen>, never>>();
  await square(1);
  await square(1, 2);
  const spawned = await square.spawn(1);
  check<Equal<typeof spawned, FunctionCall<number>>>();
  // @ts-expect-error: a number is wanted
  await square('1');
  // @ts-expect-error: it has a parameter
  await shout.remote();
  // @ts-expect-error: no such option
  app.function(async () => 1, { cpus: 2 });
  // @ts-expect-error: a function is wanted
  app.function(7);
  for await (const value of square.map([1, 2], { ordered: false, returnExceptions: true })) {
    check<Equal<typeof value, number>>();
  }
  // @ts-expect-error: inputs are numbers
  square.map(['1']);
  square.starmap([[1], [1, 2]]);
  // @ts-expect-error: the second argument is a number
  square.starmap([[1, '2']]);
  const embedder = await Cls.of(Embedder).bind();
  const vector = await embedder.embed('one');
  check<Equal<typeof vector, number[]>>();
  // @ts-expect-error: callers give single values
  await embedder.embed(['one']);
  check<Equal<Parameters<typeof embedder.list>, [texts: readonly string[]]>>();
  // @ts-expect-error: a size is wanted
  method({ batch: { waitMs: 5 } });
  const remote: RemoteApp<typeof import('./function-surface.js')> = await App.lookup('function-types');
  check<Equal<typeof remote.square, typeof square>>();
  check<
    Equal<
      Exclude<keyof typeof remote, 'appName' | 'cls' | 'function' | 'sandbox'>,
      'square' | 'shout' | 'count' | 'Embedder'
    >
  >();
  const byName = remote.function<(x: number) => boolean>('square');
  check<Equal<ReturnType<typeof byName>, Promise<boolean>>>();
}
