import { HoldfastError } from '../../../common/errors.js';
import type { BucketKeys } from '../../../common/ports/bucket.js';
import type { OwnContainer } from '../../../common/ports/container.js';
import type { Variables } from '../../../common/secret.js';
import type { BucketReference } from '../../../common/volume-mounts.js';

/** By the names of secrets. */
export type MountSecrets = Readonly<Record<string, Variables>>;

/** A secret that has one variable is a key, whatever that is called; of several it is the one of AWS's name. @throws VolumeUnavailable */
function bucketKeys(bucket: BucketReference, secrets: MountSecrets): BucketKeys {
  const { accessKeySecret, secretKeySecret } = bucket;
  return {
    accessKeyId: keyOf(bucket, { secret: accessKeySecret, variable: 'AWS_ACCESS_KEY_ID' }, secrets),
    secretAccessKey: keyOf(bucket, { secret: secretKeySecret, variable: 'AWS_SECRET_ACCESS_KEY' }, secrets),
  };
}

/** What a container sees, with the keys of its buckets. @throws VolumeUnavailable */
export function withKeys(own: OwnContainer | null, secrets: MountSecrets): OwnContainer | null {
  if (own?.volumes === undefined) return own;
  const volumes = own.volumes.map((mount) =>
    'bucket' in mount ? { ...mount, keys: bucketKeys(mount.bucket, secrets) } : mount,
  );
  return { ...own, volumes };
}

function keyOf(
  { bucketName }: BucketReference,
  { secret, variable }: { readonly secret: string; readonly variable: string },
  secrets: MountSecrets,
): string {
  const variables = secrets[secret] ?? {};
  const [only, ...others] = Object.values(variables);
  const key = others.length === 0 ? only : variables[variable];
  if (key !== undefined && key !== '') return key;
  throw new HoldfastError(
    'VolumeUnavailable',
    `bucket ${bucketName} cannot be mounted: secret '${secret}' must have one variable, or ${variable} among several`,
    { details: { bucketName, secret, reason: 'InvalidArgument' } },
  );
}
