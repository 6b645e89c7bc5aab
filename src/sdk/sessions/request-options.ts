import type { Clock } from '../../common/clock.js';
import { callContextOrNull } from '../../common/context.js';
import type { Limits } from '../calls/call-limits.js';
import type { RequestOptions } from './router-session.js';

/** What is left of a time that was used. */
export function lessFor({ remainingMs, signal }: RequestOptions, usedMs: number): RequestOptions {
  return { remainingMs: remainingMs === 0 ? 0 : Math.max(1, Math.ceil(remainingMs - usedMs)), signal };
}

/** As the control stream takes them. */
export function requestOptions(limits: Limits | undefined): Partial<RequestOptions> {
  return limits === undefined ? {} : { remainingMs: limits.leftMs ?? 0, signal: limits.signal };
}

/** What a method asks ends with it, too. */
export function withOuterSignal(own: AbortSignal | undefined): AbortSignal | undefined {
  const outer = callContextOrNull()?.signal;
  if (own === undefined || outer === undefined) return own ?? outer;
  return AbortSignal.any([own, outer]);
}

/** What is asked for a method that runs inherits its time and its cancel. */
export function inherited(clock: Clock, options: Partial<RequestOptions> = {}): RequestOptions {
  const outer = callContextOrNull();
  const deadlineMs = outer?.deadline == null ? 0 : Math.max(1, outer.deadline - clock.monotonic());
  const own = options.remainingMs ?? 0;
  const remainingMs = own === 0 || deadlineMs === 0 ? own + deadlineMs : Math.min(own, deadlineMs);
  return { remainingMs: Math.ceil(remainingMs), signal: withOuterSignal(options.signal) };
}
