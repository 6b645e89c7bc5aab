import { type CallContext, callContextOrNull, runInContext } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { alarmOf } from '../../common/instance-alarm.js';
import type { ClassOptions } from '../../common/manifest.js';
import { CoalescingStorage } from '../../wire/link/instance-storage.js';
import { systemParts } from '../default-client.js';
import { consoleLogger } from '../local/console-logger.js';
import { checkLocalResources } from '../local/local-resources.js';
import { LocalState } from '../local/local-state.js';
import type { AnyFunction } from './function-types.js';

/** A function, as this process can run it. */
export interface LocalFunction {
  /** Null: it is not here. */
  readonly fn: AnyFunction | null;
  readonly appName: string;
  /** @throws InvalidArgument where it has none */
  readonly name: () => string;
  readonly options: () => ClassOptions;
}

/**
 * Calls it here and now, in the context of the method or hook that does so, else in one of its own.
 *
 * @throws InvalidArgument where this program does not have it, and what the function throws
 */
export function runLocally({ fn, appName, name, options }: LocalFunction, args: readonly unknown[]): unknown {
  if (fn === null) {
    throw new HoldfastError('InvalidArgument', `function '${name()}' is not in this program: import its module`);
  }
  checkLocalResources(`a function of app '${appName}'`, options());
  if (callContextOrNull() !== null) return fn(...args);
  const context = localContext(appName, name);
  const made = runInContext(context, () => fn(...args));
  return isGenerator(made) ? drivenIn(context, made) : made;
}

type AnyGenerator = Iterator<unknown> & Partial<Record<typeof Symbol.iterator | typeof Symbol.asyncIterator, unknown>>;

/** Every step of it runs in the context. */
function drivenIn(context: CallContext, made: AnyGenerator): unknown {
  const step =
    (name: 'next' | 'return' | 'throw') =>
    (...given: unknown[]): unknown =>
      runInContext(context, () => (made[name] as AnyFunction).apply(made, given));
  const driven = { next: step('next'), return: step('return'), throw: step('throw') };
  const key = made[Symbol.asyncIterator] === undefined ? Symbol.iterator : Symbol.asyncIterator;
  return Object.defineProperty(driven, key, { value: () => driven });
}

function isGenerator(made: unknown): made is AnyGenerator {
  if (typeof made !== 'object' || made === null) return false;
  const { next, return: end, throw: fail } = made as Record<string, unknown>;
  return [next, end, fail].every((each) => typeof each === 'function');
}

function localContext(appName: string, name: () => string): CallContext {
  const instanceId = `local-${Buffer.from(systemParts.random.bytes(10)).toString('hex')}`;
  const storage = new CoalescingStorage(new LocalState(), { label: instanceId, hasAlarm: false });
  return {
    appName,
    // A function without a name can run here all the same: only who asks for it needs one.
    get className() {
      return name();
    },
    instanceId,
    callId: `${instanceId}.1`,
    attempt: 1,
    epoch: 1,
    restarted: false,
    signal: new AbortController().signal,
    log: consoleLogger,
    storage,
    ...alarmOf(() => storage),
    chain: [],
    deadline: null,
    traceparent: null,
  };
}
