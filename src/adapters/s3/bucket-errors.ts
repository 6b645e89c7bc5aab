import { type ErrorCode, HoldfastError, isHoldfastError } from '../../common/errors.js';

interface S3Failure {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const mayNot = ['PermissionDenied', 'these keys may not do that'] as const;
const otherRegion = ['NotFound', 'the bucket is in another region: name it as `region`'] as const;

const refusals: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  NoSuchBucket: ['NotFound', 'there is no such bucket'],
  InvalidAccessKeyId: ['PermissionDenied', 'the access key is not known'],
  SignatureDoesNotMatch: ['PermissionDenied', 'the secret key is wrong'],
  AccessDenied: mayNot,
  Forbidden: mayNot,
  PermanentRedirect: otherRegion,
  AuthorizationHeaderMalformed: otherRegion,
};

/** The one place where an error of the client becomes one of ours; a refusal is not to be tried again. Never with a key's value. */
export function bucketError(error: unknown, what: string, shown: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { name = '', message = String(error), $metadata } = error as S3Failure;
  const status = $metadata?.httpStatusCode ?? 0;
  const refusal = refusals[name] ?? (status === 403 || status === 401 ? mayNot : undefined);
  if (refusal !== undefined) {
    const [code, why] = refusal;
    const details = { otherRegion: refusal === otherRegion };
    return new HoldfastError(code, `${what} in bucket ${shown} was refused: ${why}`, { retryable: false, details });
  }
  // No cause: the library puts requests into its errors, with their headers.
  return new HoldfastError('Unavailable', `${what} in bucket ${shown} failed (${name}: ${message})`, {
    outcome: 'unknown',
  });
}

export function isOtherRegion(error: unknown): boolean {
  return isHoldfastError(error) && error.details['otherRegion'] === true;
}
