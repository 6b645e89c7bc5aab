import type { ClassOptions } from './manifest.js';
import { type ResourceOptions, resolveClassOptions } from './options.js';

/** Options of `app.function`; `name` defaults to the name of its export. It has no state to lose: `onLoss` has no effect. */
export type FunctionOptions = ResourceOptions;

/** What a function that nobody calls keeps its container for. */
const defaultIdleMs = 60_000;

/**
 * Options of a function, checked and with every default filled in, as workers and routers use them.
 *
 * @throws InvalidArgument naming the option
 */
export function resolveFunctionOptions(where: string, given: FunctionOptions = {}): ClassOptions {
  const resolved = resolveClassOptions(where, given);
  return { ...resolved, idleTimeoutMs: resolved.idleTimeoutMs ?? defaultIdleMs, onLoss: 'recreate' };
}
