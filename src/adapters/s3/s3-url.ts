import { HoldfastError } from '../../common/errors.js';

/** Where objects are in S3. Credentials are those of the environment, as every AWS tool finds them. */
export interface S3Location {
  readonly bucket: string;
  /** Without a slash at either end; may be empty. */
  readonly prefix: string;
  /** Null: AWS. */
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly forcePathStyle: boolean;
  /** For messages. */
  readonly shown: string;
}

const form = 's3://bucket[/prefix][?endpoint=https://host:port][&region=name][&pathStyle=true]';
/** Of a key S3 takes 1024, of which 900 are ours. */
const maxPrefixLength = 120;
const known = ['endpoint', 'region', 'pathStyle'];

/** @throws InvalidArgument */
export function parseS3Url(text: string): S3Location {
  const parts = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([^?]*))?(?:\?(.*))?$/.exec(text);
  if (!parts?.[1]) throw unreadable('expected a bucket');
  const [, bucket, path = '', query = ''] = parts;
  const settings = new URLSearchParams(query);
  const unknown = [...settings.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) throw unreadable(`there is no setting '${unknown}'`);
  const prefix = path.replace(/^\/+|\/+$/g, '');
  if (prefix.length > maxPrefixLength) throw unreadable(`the prefix has more than ${maxPrefixLength} characters`);
  if (prefix !== '' && !prefix.split('/').every((name) => /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(name)))
    throw unreadable('the prefix must be of names of A-Z, a-z, 0-9, ., _ and -');
  const endpoint = settings.get('endpoint');
  if (endpoint !== null && !/^https?:\/\/[^/?#@\s]+\/?$/.test(endpoint))
    throw unreadable('the endpoint must be http(s)://host:port, without user, path and query');
  return {
    bucket,
    prefix,
    endpoint,
    region: settings.get('region'),
    // Endpoints of one's own rarely have a name for each bucket.
    forcePathStyle: settings.has('pathStyle') ? settings.get('pathStyle') === 'true' : endpoint !== null,
    shown: `s3://${bucket}${prefix === '' ? '' : `/${prefix}`}${endpoint === null ? '' : ` at ${endpoint}`}`,
  };
}

function unreadable(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `the url of the object store cannot be read, ${why}: ${form}`);
}
