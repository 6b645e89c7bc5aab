import type { ClassOptions } from './manifest.js';
import { type ResourceOptions, resolveClassOptions } from './options.js';

/** Options of `app.sandbox`; `name` defaults to `default`. */
export type SandboxOptions = ResourceOptions;

const defaultTimeoutMs = 3_600_000;
const defaultCommandsAtOnce = 1_000;

/**
 * Options of a sandbox, checked and with every default filled in, as workers and routers use them: a session is a container of
 * its own, and `tasksPerContainer` is how many commands it runs at once.
 *
 * @throws InvalidArgument naming the option
 */
export function resolveSandboxOptions(where: string, given: SandboxOptions = {}): ClassOptions {
  return {
    ...resolveClassOptions(where, given),
    timeoutMs: given.timeoutMs ?? defaultTimeoutMs,
    concurrentRequests: given.tasksPerContainer ?? defaultCommandsAtOnce,
    tasksPerContainer: 1,
    // A session is one sandbox.
    maxContainers: 1,
    minContainers: 0,
    bufferContainers: 0,
    // Never less: there is no sandbox without walls.
    isolation: given.isolation === 'gvisor' ? 'gvisor' : 'bubblewrap',
    onLoss: given.onLoss ?? 'fail',
  };
}
