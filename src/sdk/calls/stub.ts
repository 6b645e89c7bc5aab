import type { CallOptions } from '../classes/class-types.js';
import { refuseLoop, refuseRemoteGen } from './answer-in-a-loop.js';
import { mergeCallOptions } from './call-options.js';
import type { FunctionCall } from './function-call.js';
import { startSpawn } from './spawn.js';
import { type Callee, startCall, startStream } from './start-call.js';

type AnyCall = (...args: readonly unknown[]) => unknown;

type AnySpawn = (...args: readonly unknown[]) => Promise<FunctionCall>;

/** What `instance.infer` is: a function with `remote` or `remoteGen`, and `with`. */
export interface AnyStub {
  (...args: readonly unknown[]): unknown;
  readonly remote?: AnyCall;
  readonly remoteGen?: AnyCall;
  readonly spawn?: AnySpawn;
  with(options: CallOptions): AnyStub;
}

export function makeStub(callee: Callee): AnyStub {
  const call: AnyCall = callee.plan.generator
    ? (...args) => startStream(callee, args)
    : (...args) => refuseLoop(startCall(callee, args));
  const calls = { call, spawn: (...args: readonly unknown[]) => startSpawn(callee, args) };
  return finishStub(callee.plan, calls, (options) => {
    const what = `${callee.target.label}.${callee.plan.name}`;
    return makeStub({ ...callee, options: mergeCallOptions(what, callee.options, options) });
  });
}

/** A stub of any origin: remote, local, or one that refuses. */
export function finishStub(
  method: { readonly name: string; readonly generator: boolean },
  { call, spawn }: { readonly call: AnyCall; readonly spawn: AnySpawn },
  withOptions: (options: CallOptions) => AnyStub,
): AnyStub {
  Object.defineProperty(call, 'name', { value: method.name, configurable: true });
  const named = method.generator ? { remoteGen: call } : { remote: call, spawn, remoteGen: refuseRemoteGen };
  return Object.assign(call, { ...named, with: withOptions });
}
