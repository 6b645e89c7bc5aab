import { HoldfastError } from '../../common/errors.js';
import {
  type BucketReference,
  bucketProblem,
  checkedMountPath,
  type Mountable,
  mountable,
} from '../../common/volume-mounts.js';
import { Secret } from '../secret.js';

export interface CloudBucketMountOptions {
  readonly bucketName: string;
  /** Secrets with one variable each, whatever it is called, or with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` among several. */
  readonly accessKeySecret: Secret | string;
  readonly secretKeySecret: Secret | string;
  readonly endpointUrl: string;
  /** Default `auto`: that of the endpoint. */
  readonly region?: string;
  /** Only keys that begin with it, and a slash, are seen; files have the rest as their paths. */
  readonly prefix?: string;
  readonly readOnly?: boolean;
  /** The bucket's name in the path of urls, not in the host's name. */
  readonly forcePathStyle?: boolean;
  readonly mountPath?: string;
}

const known = ['bucketName', 'accessKeySecret', 'secretKeySecret', 'endpointUrl', 'region', 'prefix', 'readOnly'];
const knownToo = ['forcePathStyle', 'mountPath'];

/**
 * A bucket of one's own, in anything that speaks S3, as files at a path of sandboxes and classes. Its keys are secrets that only the
 * worker opens: no program inside sees them. A file is uploaded whole when it is closed or synced.
 */
export class CloudBucketMount implements Mountable {
  readonly #options: CloudBucketMountOptions;
  readonly #bucket: BucketReference;
  /** Where containers find it, unless they name another path; null: only where they do. */
  readonly mountPath: string | null;

  /** @throws InvalidArgument */
  constructor(options: CloudBucketMountOptions) {
    this.#options = options;
    this.#bucket = checkedBucket(options);
    this.mountPath = options.mountPath === undefined ? null : checkedMountPath(options.mountPath);
  }

  /** The same bucket at a path, for `volumes` of a class or sandbox. @throws InvalidArgument */
  mount(path: string): CloudBucketMount {
    return this.mountedAt(path);
  }

  /** The same as `mount`. @throws InvalidArgument */
  mountedAt(path: string): CloudBucketMount {
    return new CloudBucketMount({ ...this.#options, mountPath: checkedMountPath(path) });
  }

  [mountable](): { readonly bucket: BucketReference; readonly readOnly: boolean } {
    return { bucket: this.#bucket, readOnly: this.#options.readOnly ?? false };
  }
}

function checkedBucket(options: CloudBucketMountOptions): BucketReference {
  if (typeof options !== 'object' || options === null) throw wrong('it takes its options as an object');
  const unknown = Object.keys(options).find((name) => ![...known, ...knownToo].includes(name));
  if (unknown !== undefined) throw wrong(`there is no option '${unknown}'`);
  const { bucketName, endpointUrl, region = 'auto', prefix = '', readOnly = false, forcePathStyle = false } = options;
  if (typeof readOnly !== 'boolean') throw wrong('readOnly must be true or false');
  const reference: BucketReference = {
    ...{ bucketName, endpointUrl, region, forcePathStyle },
    prefix: typeof prefix === 'string' ? prefix.replace(/^\/+|\/+$/g, '') : prefix,
    accessKeySecret: nameOf(options.accessKeySecret),
    secretKeySecret: nameOf(options.secretKeySecret),
  };
  const problem = bucketProblem(reference);
  if (problem !== null) throw wrong(problem);
  return reference;
}

function nameOf(secret: Secret | string): string {
  return secret instanceof Secret ? secret.name : secret;
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `a CloudBucketMount cannot be made: ${why}`);
}
