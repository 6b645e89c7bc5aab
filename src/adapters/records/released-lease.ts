import { HoldfastError } from '../../common/errors.js';
import type { BootId } from '../../common/ids.js';

/** How long the release of a lease is remembered. */
export const releasedTtlMs = 600_000;

/** The error of a boot that wants a lease after its own was released (S6). */
export function releasedLease(bootId: BootId): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `the lease of boot ${bootId} was released and never comes back: start the worker again, as a new boot`,
    { details: { bootId } },
  );
}
