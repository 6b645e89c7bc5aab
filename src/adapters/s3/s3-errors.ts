import { HoldfastError, isHoldfastError } from '../../common/errors.js';

interface S3Failure {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const mayNot = 'these credentials may not do that: allow GetObject, PutObject, DeleteObject and ListBucket';
const noCredentials = 'there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const noRegion = 'the region of the bucket is not known: name it in the url, region=NAME, or set AWS_REGION';
const otherRegion = 'the bucket is in another region: name it in the url, region=NAME';

const refusals: Readonly<Record<string, string>> = {
  NoSuchBucket: 'there is no such bucket: make it, or correct the url',
  InvalidAccessKeyId: 'the access key is not known: check AWS_ACCESS_KEY_ID',
  SignatureDoesNotMatch: 'the secret key is wrong: check AWS_SECRET_ACCESS_KEY',
  AccessDenied: mayNot,
  Forbidden: mayNot,
  CredentialsProviderError: noCredentials,
  PermanentRedirect: otherRegion,
  AuthorizationHeaderMalformed: otherRegion,
};

/** Whether it says that an object is not there. */
export function isMissing(error: unknown): boolean {
  const { name, $metadata } = error as S3Failure;
  return name === 'NoSuchKey' || name === 'NotFound' || (name !== 'NoSuchBucket' && $metadata?.httpStatusCode === 404);
}

/** Whether it says that an object ends before the range that was asked for. */
export function isPastEnd(error: unknown): boolean {
  const { name, $metadata } = error as S3Failure;
  return name === 'InvalidRange' || $metadata?.httpStatusCode === 416;
}

/**
 * The one place where an error of the client becomes a `HoldfastError`; a refusal is not to be tried again. No cause: the library
 * puts requests into its errors, with their signatures.
 */
export function s3Error(error: unknown, what: string, shown: string): HoldfastError {
  if (isHoldfastError(error)) return error;
  const { name = '', message = String(error), $metadata } = error as S3Failure;
  const refusal =
    refusals[name] ??
    ($metadata?.httpStatusCode === 403 ? mayNot : undefined) ??
    (message === 'Region is missing' ? noRegion : undefined);
  if (refusal !== undefined) {
    return new HoldfastError('Unavailable', `${what} in the object store ${shown} was refused, ${refusal}`, {
      retryable: false,
    });
  }
  return new HoldfastError('Unavailable', `${what} in the object store ${shown} failed (${name}: ${message})`, {
    outcome: 'unknown',
  });
}
