import { mergeCallOptions } from './call-options.js';
import type { CallOptions } from './class-types.js';
import { type Callee, startCall, startStream } from './start-call.js';

type AnyCall = (...args: readonly unknown[]) => unknown;

/** What `instance.infer` is: a function with `remote` or `remoteGen`, and `with`. */
export interface AnyStub {
  (...args: readonly unknown[]): unknown;
  readonly remote?: AnyCall;
  readonly remoteGen?: AnyCall;
  with(options: CallOptions): AnyStub;
}

export function makeStub(callee: Callee): AnyStub {
  const call: AnyCall = callee.plan.generator
    ? (...args) => startStream(callee, args)
    : (...args) => startCall(callee, args);
  return finishStub(callee.plan, call, (options) => {
    const what = `${callee.target.label}.${callee.plan.name}`;
    return makeStub({ ...callee, options: mergeCallOptions(what, callee.options, options) });
  });
}

/** A stub of any origin: remote, local, or one that refuses. */
export function finishStub(
  method: { readonly name: string; readonly generator: boolean },
  call: AnyCall,
  withOptions: (options: CallOptions) => AnyStub,
): AnyStub {
  Object.defineProperty(call, 'name', { value: method.name, configurable: true });
  return Object.assign(call, { [method.generator ? 'remoteGen' : 'remote']: call, with: withOptions }) as AnyStub;
}
