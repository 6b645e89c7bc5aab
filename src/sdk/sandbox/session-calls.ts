import type { Clock } from '../../common/clock.js';
import type { ByteStream } from '../../common/ports/byte-stream.js';
import type { SandboxMethod } from '../../common/sandbox-methods.js';
import { sandboxMethods } from '../../common/sandbox-methods.js';
import type { CallLimits, Limits } from '../calls/call-limits.js';
import type { InstanceTarget } from '../calls/instance-target.js';
import type { MethodPlan } from '../calls/method-plan.js';
import { startCall, startStream } from '../calls/start-call.js';
import type { CallOptions } from '../classes/class-types.js';

/** Of one request to a session. */
export type AskOptions = CallLimits;

/** The way to a session, on a worker or in this process. */
export interface SessionCalls {
  /** `app/sandbox/id`, for messages. */
  readonly label: string;
  readonly clock: Clock;
  call<R>(method: SandboxMethod, args: readonly unknown[], options?: AskOptions): Promise<R>;
  /** Starts when it is first read; leaving the loop ends it there too. */
  stream<Y>(method: SandboxMethod, args: readonly unknown[], options?: AskOptions): AsyncIterable<Y>;
  /** The bytes that a call has answered a ticket for; absent where bytes come and go by calls. */
  readonly bytes?: (ticket: string) => ByteStream;
}

const noRetries = { maxRetries: 0, initialDelayMs: 0, backoffCoefficient: 1, maxDelayMs: 0 };

/** What every call of a session's method has in common. */
export const sandboxPlans: ReadonlyMap<string, MethodPlan> = new Map(
  [...sandboxMethods.values()].map(({ name, generator, idempotent }) => [
    name,
    { name, generator, idempotent, retries: noRetries, budget: null },
  ]),
);

/** Null: there are none. */
export function callOptionsOf({ signal, timeoutMs }: AskOptions): CallOptions | null {
  if (signal === undefined && timeoutMs === undefined) return null;
  return { ...(signal !== undefined && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** The same way, all of whose requests together end with the limits of one call. */
export function within(limits: Limits | undefined, calls: SessionCalls): SessionCalls {
  if (limits === undefined) return calls;
  return {
    ...calls,
    call: <R>(method: SandboxMethod, args: readonly unknown[], own?: AskOptions) =>
      calls.call<R>(method, args, { ...limits.rest, ...own }),
    stream: <Y>(method: SandboxMethod, args: readonly unknown[], own?: AskOptions) => ({
      [Symbol.asyncIterator]: () => calls.stream<Y>(method, args, { ...limits.rest, ...own })[Symbol.asyncIterator](),
    }),
  };
}

/** To a session on a worker. */
export function remoteCalls(target: InstanceTarget): SessionCalls {
  const calleeOf = (method: SandboxMethod, options: AskOptions) => ({
    target,
    plan: sandboxPlans.get(method) as MethodPlan,
    options: callOptionsOf(options),
  });
  const { openBytes } = target.host;
  return {
    label: target.label,
    clock: target.host.clock,
    ...(openBytes === null ? {} : { bytes: (ticket: string) => openBytes(target.placement.address, ticket) }),
    call: <R>(method: SandboxMethod, args: readonly unknown[], options: AskOptions = {}) =>
      startCall(calleeOf(method, options), args) as Promise<R>,
    stream: <Y>(method: SandboxMethod, args: readonly unknown[], options: AskOptions = {}) =>
      startStream(calleeOf(method, options), args) as AsyncIterable<Y>,
  };
}
