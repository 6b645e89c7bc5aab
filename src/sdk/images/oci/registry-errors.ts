import { HoldfastError } from '../../../common/errors.js';

/** What is asked of a registry, for which image. */
export interface RegistryAsk {
  readonly image: string;
  /** `host:port` */
  readonly registry: string;
  readonly what: string;
  /** Why it was asked without the login of this machine. */
  readonly trouble?: string | null;
}

/** It does not let this program read the image. */
export function registryRefused(of: RegistryAsk, why: string, status?: number): HoldfastError {
  const { image, registry, what } = of;
  const message = `image ${image}: registry ${registry} refuses ${what}: ${why}${troubleOf(of)}; take an image that is public, or bring it as a layout: Image.fromOci('oci:FOLDER:TAG')`;
  return new HoldfastError('PermissionDenied', message, { details: { image, registry, status } });
}

/** It is away, or broken: that may pass. */
export function registryFailed(
  { image, registry, what }: RegistryAsk,
  why: string,
  more: { readonly cause?: unknown; readonly signal?: AbortSignal | undefined; readonly status?: number } = {},
): HoldfastError {
  const { cause, signal, status } = more;
  const details = { image, registry, status };
  if (signal?.aborted === true)
    return new HoldfastError('Cancelled', `image ${image}: asking registry ${registry} for ${what} was cancelled`, {
      details,
      cause,
    });
  const reason = cause === undefined ? '' : ` (${reasonOf(cause)})`;
  const message = `image ${image}: registry ${registry} fails to give ${what}: ${why}${reason}; look whether this machine reaches ${registry}, then deploy again`;
  return new HoldfastError('Unavailable', message, { details, cause });
}

/** Of a login that was of no use, for the end of a sentence. */
export function troubleOf({ trouble }: RegistryAsk): string {
  return trouble === undefined || trouble === null ? '' : ` (${trouble})`;
}

/** What the network said is the cause of what fetch says. */
function reasonOf(error: unknown): string {
  const { cause, message } = error as {
    readonly cause?: { readonly code?: string; readonly message?: string };
  } & Error;
  return String(cause?.code ?? cause?.message ?? message ?? error);
}
