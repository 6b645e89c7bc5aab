import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import type { ClassOptions, MethodManifest } from '../../common/manifest.js';
import { expected } from '../../common/option-checks.js';
import { type CallLimits, Limits, limitChecks } from '../calls/call-limits.js';
import type { ClassOrigin } from '../classes/class-source.js';
import { systemParts } from '../default-client.js';
import { FunctionSource } from './function-source.js';
import type { AnyFunction, MapOptions, RemoteFunction } from './function-types.js';
import { type LocalFunction, runLocally } from './local-function.js';
import { MapCalls } from './map-calls.js';
import type { RegisteredFunction } from './registered-functions.js';

/** Where a function comes from: its name is asked for only when it is called. */
interface Made extends LocalFunction {
  readonly shape: () => MethodManifest;
  /** @throws InvalidArgument where it has no name */
  readonly source: () => FunctionSource;
}

/** However many containers there are: what a reader has not taken yet is held here. */
const mostAhead = 1_024;
/** Calls that wait for a slot, so that none is without work. */
const leastAhead = 16;

const mapChecks = { ...limitChecks, ordered: expected.boolean, returnExceptions: expected.boolean } as const;

/** A function that this program has declared. */
export function declaredFunction<F extends AnyFunction>(registered: RegisteredFunction): RemoteFunction<F> {
  const { fn, appName } = registered;
  let source: FunctionSource | null = null;
  return make<F>({
    fn,
    appName,
    name: () => registered.name,
    shape: () => registered.shape,
    options: () => registered.options,
    source: () => {
      source ??= sourceOf(registered);
      return source;
    },
  });
}

/** A function by name, as it is deployed. */
export function remoteFunction<F extends AnyFunction>(
  origin: Omit<ClassOrigin, 'kind' | 'local'> & { readonly local: null },
): RemoteFunction<F> {
  const source = new FunctionSource(origin);
  const { manifest } = source;
  return make<F>({
    fn: null,
    appName: origin.appName,
    name: () => origin.name,
    shape: () => source.shape,
    options: () => manifest.options,
    source: () => source,
  });
}

function sourceOf({ appName, name, registered }: RegisteredFunction): FunctionSource {
  return new FunctionSource({ appName, name, local: registered, deployment: null, choice: {} });
}

function make<F extends AnyFunction>(made: Made): RemoteFunction<F> {
  const remote = (...args: readonly unknown[]): unknown =>
    made.shape().generator ? Promise.reject(isOther(made, 'a generator', 'remoteGen')) : called(made, args);
  const remoteGen = (...args: readonly unknown[]): unknown =>
    made.shape().generator ? streamed(made, args) : failing(isOther(made, 'no generator', 'remote'));
  const call = (...args: readonly unknown[]): unknown =>
    made.shape().generator ? streamed(made, args) : called(made, args);
  const stub = {
    remote,
    remoteGen,
    local: (...args: readonly unknown[]) => runLocally(made, args),
    spawn: async (...args: readonly unknown[]) => {
      if (made.shape().generator) throw isOther(made, 'a generator', 'remoteGen');
      return await made.source().spawn(args);
    },
    explain: async (options?: CallLimits) => await made.source().explain(options),
    map: (inputs: Iterable<unknown>, options: MapOptions = {}) =>
      mapped(made, inputs, { options, argumentsOf: (input) => [input] }),
    starmap: (inputs: Iterable<unknown>, options: MapOptions = {}) =>
      mapped(made, inputs, { options, argumentsOf: listOf }),
  };
  Object.defineProperty(stub, 'functionName', { get: made.name, enumerable: true });
  return Object.defineProperties(call, Object.getOwnPropertyDescriptors(stub)) as unknown as RemoteFunction<F>;
}

function called({ source }: Made, args: readonly unknown[]): Promise<unknown> {
  try {
    return source().call(args);
  } catch (e) {
    return Promise.reject(e);
  }
}

function streamed({ source }: Made, args: readonly unknown[]): AsyncIterable<unknown> {
  try {
    return source().stream(args);
  } catch (e) {
    return failing(e);
  }
}

interface Mapping {
  readonly options: MapOptions;
  readonly argumentsOf: (input: unknown) => readonly unknown[];
}

/** @throws InvalidArgument for a generator, for unknown options */
function mapped(made: Made, inputs: Iterable<unknown>, { options, argumentsOf }: Mapping): AsyncIterable<unknown> {
  checkOptions('map', options, mapChecks);
  if (made.shape().generator) throw isOther(made, 'a generator', 'remoteGen for each input');
  const source = made.source();
  const call = async (input: unknown, signal: AbortSignal): Promise<unknown> =>
    await source.call(argumentsOf(input), { signal });
  const { clock } = systemParts;
  const limits = (): Limits | undefined => Limits.of(clock, `map of function '${made.name()}'`, options);
  return new MapCalls({ inputs, call, options, limits, window: windowOf(made.options()), clock });
}

/** All slots, and as many again that wait: but no more than may. */
function windowOf({ concurrentRequests, maxPendingTasks, maxContainers = 1 }: ClassOptions): number {
  const slots = concurrentRequests * maxContainers;
  return Math.min(mostAhead, slots + Math.min(maxPendingTasks, Math.max(slots, leastAhead)));
}

/** @throws InvalidArgument */
function listOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input;
  throw new HoldfastError('InvalidArgument', `an input of starmap must be a list of arguments, got ${typeof input}`);
}

function isOther({ name }: Made, what: string, instead: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `function '${name()}' is ${what}: use ${instead}`);
}

function failing(error: unknown): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}
