import type { CallLimits } from '../calls/call-limits.js';
import type { FunctionCall } from '../calls/function-call.js';
import type { Explanation } from '../infos.js';

// biome-ignore lint/suspicious/noExplicitAny: any function of the user's
export type AnyFunction = (...args: any[]) => unknown;

/** How a `map` goes; its limits are those of all of it, from the first input to the last result. */
export interface MapOptions extends CallLimits {
  /** Results in the order of their inputs, the default; or as they come. */
  readonly ordered?: boolean;
  /** What a call failed with is a value like others, instead of the end of it all. */
  readonly returnExceptions?: boolean;
}

/** A function that runs in a container of the cluster: `await f(x)` and `await f.remote(x)` are the same call. */
export interface RemoteFunction<F extends AnyFunction> {
  /** By which it is deployed. @throws InvalidArgument where it has no `name` and its export cannot be found out */
  readonly functionName: string;
  (
    ...args: Parameters<F>
  ): ReturnType<F> extends AsyncIterable<infer Y> ? AsyncIterable<Y> : Promise<Awaited<ReturnType<F>>>;
  remote(...args: Parameters<F>): Promise<Awaited<ReturnType<F>>>;
  /** Of a generator: the call starts when its values are first asked for, and leaving the loop stops it. */
  remoteGen(...args: Parameters<F>): ReturnType<F> extends AsyncIterable<infer Y> ? AsyncIterable<Y> : never;
  /**
   * In this process and on its files, whatever the image.
   * @throws InvalidArgument where this program has it by name only, VolumeUnavailable where it has volumes, NotFound for a required
   * key of a secret
   */
  local(...args: Parameters<F>): ReturnType<F>;
  /** Starts the call and returns at its admission; its result can be fetched later, by another process too. */
  spawn(...args: Parameters<F>): Promise<FunctionCall<Awaited<ReturnType<F>>>>;
  /**
   * A call for each input. Inputs are read as calls end, a bounded number ahead of the reader; leaving the loop cancels the calls
   * that are under way and closes the inputs.
   */
  map(
    inputs: Iterable<Parameters<F>[0]> | AsyncIterable<Parameters<F>[0]>,
    options?: MapOptions,
  ): AsyncIterable<Awaited<ReturnType<F>>>;
  /** The same, each input all arguments of a call. */
  starmap(
    inputs: Iterable<Parameters<F>> | AsyncIterable<Parameters<F>>,
    options?: MapOptions,
  ): AsyncIterable<Awaited<ReturnType<F>>>;
  /** Its containers, where they are, and why calls wait; starts nothing. @throws NotFound where nobody has called it as it is deployed */
  explain(options?: CallLimits): Promise<Explanation>;
}
