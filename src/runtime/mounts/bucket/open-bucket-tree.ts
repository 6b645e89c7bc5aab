import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { Bucket, BucketKeys, OpenBucket } from '../../../common/ports/bucket.js';
import type { BucketReference } from '../../../common/volume-mounts.js';
import { BucketTree, type BucketTreeParts } from './bucket-tree.js';

export interface BucketAsk {
  readonly bucket: BucketReference;
  readonly keys: BucketKeys;
}

/** The bucket answers, is there and takes the keys before anything starts that wants it. @throws VolumeUnavailable, saying what is wrong */
export async function openBucketTree(
  openBucket: OpenBucket,
  { bucket: reference, keys }: BucketAsk,
  parts: Omit<BucketTreeParts, 'bucket' | 'prefix'>,
): Promise<BucketTree> {
  const { prefix } = reference;
  const bucket = await openBucket(reference, keys).catch((error: unknown) => {
    throw unavailable(reference, error);
  });
  return new BucketTree({ ...parts, bucket: bucket satisfies Bucket, prefix: prefix === '' ? '' : `${prefix}/` });
}

function unavailable(reference: BucketReference, cause: unknown): HoldfastError {
  const { bucketName, endpointUrl, accessKeySecret, secretKeySecret } = reference;
  const why = cause instanceof Error ? cause.message : String(cause);
  const code = isHoldfastError(cause) ? cause.code : 'Unavailable';
  return new HoldfastError(
    'VolumeUnavailable',
    `bucket ${bucketName} cannot be mounted: ${why}; check bucketName, endpointUrl, and the secrets ${accessKeySecret} and ${secretKeySecret}`,
    { details: { bucketName, endpointUrl, accessKeySecret, secretKeySecret, reason: code } },
  );
}
