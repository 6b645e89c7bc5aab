import { HoldfastError } from './errors.js';
import { type ImageReference, isHash } from './image.js';
import type { ClassOptions } from './manifest.js';
import { type ResourceOptions, resolveClassOptions } from './options.js';

/** Options of `app.sandbox`; `name` defaults to `default`. */
export interface SandboxOptions extends ResourceOptions {
  /** The files that its sessions start with. Default: none but those of the host's programs. */
  readonly image?: ImageReference;
}

const defaultTimeoutMs = 3_600_000;
const defaultCommandsAtOnce = 1_000;

/**
 * Options of a sandbox, checked and with every default filled in, as workers and routers use them: a session is a container of
 * its own, and `tasksPerContainer` is how many commands it runs at once.
 *
 * @throws InvalidArgument naming the option
 */
export function resolveSandboxOptions(where: string, given: SandboxOptions = {}): ClassOptions {
  const { image, ...rest } = given;
  const resolved = resolveClassOptions(where, rest);
  return {
    ...resolved,
    ...(image === undefined ? {} : { image: checkedImage(where, image) }),
    timeoutMs: given.timeoutMs ?? defaultTimeoutMs,
    concurrentRequests: given.tasksPerContainer ?? defaultCommandsAtOnce,
    tasksPerContainer: 1,
    // Never less: there is no sandbox without walls.
    isolation: given.isolation === 'gvisor' ? 'gvisor' : 'bubblewrap',
    onLoss: given.onLoss ?? 'fail',
  };
}

function checkedImage(where: string, image: ImageReference): string {
  if (isHash(image?.id)) return image.id;
  throw new HoldfastError(
    'InvalidArgument',
    `option 'image' of ${where} must be an Image, as session.snapshot() gives it`,
    {
      details: { option: 'image' },
    },
  );
}
