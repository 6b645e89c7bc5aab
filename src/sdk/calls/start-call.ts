import type { Monotonic } from '../../common/clock.js';
import { type CallContext, callContextOrNull } from '../../common/context.js';
import { HoldfastError } from '../../common/errors.js';
import { encodeArgs } from '../../wire/codec/codec.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import type { CallMeta } from '../../wire/frames/frames.js';
import { type ActiveSpan, type SpanTracer, tracing } from '../../wire/tracing.js';
import type { CallOptions } from '../classes/class-types.js';
import type { InstanceTarget } from './instance-target.js';
import type { MethodPlan } from './method-plan.js';
import { RemoteCall } from './remote-call.js';
import { ValueStream } from './value-stream.js';

/** What a stub calls. */
export interface Callee {
  readonly target: InstanceTarget;
  readonly plan: MethodPlan;
  readonly options: CallOptions | null;
  /** Where it shall be spawned, and not awaited. */
  readonly spawn?: CallMeta['spawn'];
}

/** A frame has 16 bits for the length of the meta. */
const maxMetaBytes = 65_535;

// The executor runs before the constructor returns: one for all calls saves a closure for each.
let lastResolve: (value: unknown) => void;
let lastReject: (error: unknown) => void;
const capture = (resolve: (value: unknown) => void, reject: (error: unknown) => void): void => {
  lastResolve = resolve;
  lastReject = reject;
};

/** Calls a method. The arguments are taken as they are now. @throws (rejects) every code of a call */
export function startCall(callee: Callee, args: readonly unknown[]): Promise<unknown> {
  let payload: Uint8Array;
  try {
    payload = encodeArgs(args);
  } catch (e) {
    return Promise.reject(e);
  }
  return startEncoded(callee, payload);
}

/** The same, of arguments that were encoded before. */
export function startEncoded(callee: Callee, payload: Uint8Array): Promise<unknown> {
  const promise = new Promise<unknown>(capture);
  const resolve = lastResolve;
  const reject = lastReject;
  try {
    const call = makeCall(callee, payload, null);
    call.resolve = resolve;
    call.reject = reject;
    call.start();
  } catch (e) {
    reject(e);
  }
  return promise;
}

/** Calls a generator method: each iteration is a call of its own, with the arguments as they are now. */
export function startStream(callee: Callee, args: readonly unknown[]): AsyncIterable<unknown> {
  let payload: Uint8Array;
  try {
    payload = Uint8Array.from(encodeArgs(args));
  } catch (e) {
    return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(e) }) };
  }
  return startStreamOf(callee, payload);
}

/** The same, of arguments that were encoded before. */
export function startStreamOf(callee: Callee, payload: Uint8Array): AsyncIterable<unknown> {
  return {
    [Symbol.asyncIterator]: () =>
      new ValueStream((stream) => {
        const call = makeCall(callee, payload, stream);
        call.start();
        return call;
      }),
  };
}

/** One call that is not started yet. */
export function makeCall(
  { target, plan, options, spawn }: Callee,
  payload: Uint8Array,
  stream: ValueStream | null,
): RemoteCall {
  const outer = callContextOrNull();
  const span = tracing.active === null ? null : startSpan(tracing.active, { target, plan, outer });
  return new RemoteCall({
    target,
    plan,
    payload,
    stream,
    span,
    meta: spawn === undefined ? metaOf(options, outer, span) : { spawn },
    deadline: deadlineOf(target, options, outer),
    signal: options?.signal ?? null,
    outerSignal: outer?.signal ?? null,
  });
}

function startSpan(
  tracer: SpanTracer,
  { target, plan, outer }: Pick<Callee, 'target' | 'plan'> & { readonly outer: CallContext | null },
): ActiveSpan {
  const attributes = { 'holdfast.instance': target.label, 'holdfast.method': plan.name };
  return tracer.start({ name: 'sdk.call', kind: 'client', parent: outer?.traceparent ?? null, attributes });
}

/** The earlier of the caller's own limit and that of the call it serves. */
function deadlineOf(target: InstanceTarget, options: CallOptions | null, outer: CallContext | null): Monotonic | null {
  const inherited = outer?.deadline ?? null;
  if (options?.timeoutMs === undefined) return inherited;
  const own = target.host.clock.monotonic() + options.timeoutMs;
  return inherited === null ? own : Math.min(own, inherited);
}

function metaOf(options: CallOptions | null, outer: CallContext | null, span: ActiveSpan | null): CallMeta | null {
  const idempotencyKey = options?.idempotencyKey;
  const traceparent = span?.traceparent ?? outer?.traceparent ?? undefined;
  const chain = outer === null || outer.chain.length === 0 ? undefined : outer.chain;
  if (idempotencyKey === undefined && traceparent === undefined && chain === undefined) return null;
  const meta: CallMeta = {
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(chain === undefined ? {} : { chain }),
  };
  if (chain !== undefined && encodeBody(meta).length > maxMetaBytes - 64) {
    throw new HoldfastError('InvalidArgument', `${chain.length} calls wait for each other here: that is too deep`, {
      details: { depth: chain.length },
    });
  }
  return meta;
}
