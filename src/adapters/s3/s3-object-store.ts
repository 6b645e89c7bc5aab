import { addAbortSignal, type Readable } from 'node:stream';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore, Presigner } from '../../common/ports/object-store.js';
import { checkedKey } from '../object-key.js';
import { isMissing, isPastEnd, s3Error } from './s3-errors.js';
import { runOperation, type S3Task, s3Settings, withoutBody } from './s3-operation.js';
import { parseS3Url, type S3Location } from './s3-url.js';

type Sdk = typeof import('@aws-sdk/client-s3');

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Each operation, with all its attempts; more where it moves many bytes. */
const operationMs = 25_000;
/** Larger objects go up in parts, each of which is tried again by itself. */
const partBytes = 8_388_608;
const partsAtOnce = 4;
const signedForS = 900;
/** Where neither the url nor the environment names one, for servers that have none. */
const anyRegion = 'us-east-1';

interface S3 {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly location: S3Location;
  readonly clock: Clock;
}

/**
 * An object store in a bucket. The client library is loaded here, when one is opened.
 *
 * @param credentials default: those of the environment
 * @throws InvalidArgument for the url; Unavailable where the bucket does not answer, is not there, or refuses the credentials
 */
export async function openS3ObjectStore(options: {
  readonly url: string;
  readonly clock: Clock;
  readonly credentials?: S3Credentials;
}): Promise<ObjectStore> {
  const location = parseS3Url(options.url);
  const sdk = await import('@aws-sdk/client-s3');
  const region = location.region ?? (location.endpoint === null ? null : anyRegion);
  const settings = {
    ...s3Settings,
    forcePathStyle: location.forcePathStyle,
    ...(region === null ? {} : { region }),
    ...(location.endpoint === null ? {} : { endpoint: location.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  } as const;
  const s3: S3 = { sdk, client: new sdk.S3Client(settings), location, clock: options.clock };
  const once: S3 = { ...s3, client: new sdk.S3Client({ ...settings, maxAttempts: 1 }) };
  const probe = new sdk.ListObjectsV2Command({ Bucket: location.bucket, Prefix: location.prefix, MaxKeys: 1 });
  await within(s3, { what: 'looking for the bucket' }, (signal) => s3.client.send(probe, withoutBody(signal)));
  return storeOf(s3, once);
}

/** @param once for what must not happen late */
function storeOf(s3: S3, once: S3): ObjectStore {
  const { sdk, client, location } = s3;
  const target = (key: string) => ({ Bucket: location.bucket, Key: fullKey(location, key) });
  return {
    put: async (key, bytes) => put(s3, key, bytes),
    get: async (key) => read(s3, key, target(key)),
    getRange: async (key, offset, length) => {
      if (length === 0) return new Uint8Array(0);
      return read(s3, key, { ...target(key), Range: `bytes=${offset}-${offset + length - 1}` });
    },
    has: async (key) => {
      const head = new sdk.HeadObjectCommand(target(key));
      const found = await within(s3, { what: `looking for ${key}` }, (signal) =>
        client.send(head, withoutBody(signal)).catch(nullWhereMissing),
      );
      return found !== null;
    },
    delete: async (key) => {
      const command = new sdk.DeleteObjectCommand(target(key));
      await within(once, { what: `deleting ${key}`, isOnce: true }, (signal) =>
        once.client.send(command, withoutBody(signal)).catch(nullWhereMissing),
      );
    },
    list: (folder) => list(s3, folder),
    pathOf: null,
    presigner: presignerOf(s3),
  };
}

async function put(s3: S3, key: string, bytes: Uint8Array): Promise<void> {
  const { client, sdk, location } = s3;
  const input = { Bucket: location.bucket, Key: fullKey(location, key), Body: bytes };
  const task = { what: `storing ${key}`, bytes: bytes.length };
  if (bytes.length <= partBytes) {
    const command = new sdk.PutObjectCommand({ ...input, ContentLength: bytes.length });
    await within(s3, task, (abortSignal) => client.send(command, { abortSignal }));
    return;
  }
  const { Upload } = await import('@aws-sdk/lib-storage');
  const inParts = async (signal: AbortSignal): Promise<void> => {
    const upload = new Upload({ client, params: input, partSize: partBytes, queueSize: partsAtOnce });
    const abort = (): void => void upload.abort();
    signal.addEventListener('abort', abort, { once: true });
    await upload.done().finally(() => signal.removeEventListener('abort', abort));
  };
  await within(s3, task, inParts);
}

async function read(
  s3: S3,
  key: string,
  input: { readonly Bucket: string; readonly Key: string; readonly Range?: string },
): Promise<Uint8Array | null> {
  const { sdk, client } = s3;
  return await within(s3, { what: `reading ${key}` }, async (signal, coming) => {
    try {
      const answer = await client.send(new sdk.GetObjectCommand(input), withoutBody(signal));
      coming(answer.ContentLength ?? 0);
      return await bodyOf(answer, signal);
    } catch (error) {
      if (isPastEnd(error)) return new Uint8Array(0);
      return nullWhereMissing(error);
    }
  });
}

async function bodyOf({ Body }: GetObjectCommandOutput, signal: AbortSignal): Promise<Uint8Array> {
  if (Body === undefined) return new Uint8Array(0);
  // The client stops looking at the signal once it has the head of an answer.
  addAbortSignal(signal, Body as Readable);
  return await Body.transformToByteArray();
}

async function* list(s3: S3, folder: string): AsyncGenerator<string[], void, undefined> {
  const { client, sdk, location } = s3;
  const below = `${fullKey(location, folder)}/`;
  const skipped = below.length - folder.length - 1;
  for (let token: string | undefined; ; ) {
    const continued = token === undefined ? {} : { ContinuationToken: token };
    const command = new sdk.ListObjectsV2Command({ Bucket: location.bucket, Prefix: below, ...continued });
    const page = await within(s3, { what: `listing ${folder}` }, (signal) => client.send(command, withoutBody(signal)));
    const keys = (page.Contents ?? []).map(({ Key }) => Key).filter((key) => key !== undefined);
    if (keys.length > 0) yield keys.map((key) => key.slice(skipped));
    token = page.NextContinuationToken;
    if (!page.IsTruncated || token === undefined) return;
  }
}

function presignerOf({ client, sdk, location }: S3): Presigner {
  const { bucket: Bucket } = location;
  return {
    get: async (key) => {
      const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
      const command = new sdk.GetObjectCommand({ Bucket, Key: fullKey(location, key) });
      return { url: await getSignedUrl(client, command, { expiresIn: signedForS }), headers: {} };
    },
    put: async (key, sha256) => {
      const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
      const checksum = Buffer.from(sha256, 'hex').toString('base64');
      const command = new sdk.PutObjectCommand({ Bucket, Key: fullKey(location, key), ChecksumSHA256: checksum });
      // Signed, and not in the url: whoever uses it must send it, and the server compares it with the bytes.
      const header = 'x-amz-checksum-sha256';
      const unhoistableHeaders = new Set([header]);
      const url = await getSignedUrl(client, command, { expiresIn: signedForS, unhoistableHeaders });
      return { url, headers: { [header]: checksum } };
    },
  };
}

/** One operation, with its deadline. @throws Unavailable */
function within<T>({ clock, location }: S3, task: S3Task, run: Parameters<typeof runOperation<T>>[1]): Promise<T> {
  const fail = (error: unknown): HoldfastError => s3Error(error, task.what, location.shown);
  const late = (afterMs: number): HoldfastError => tooSlow(task.what, location, afterMs);
  return runOperation({ ...task, clock, withinMs: operationMs, fail, late }, run);
}

function nullWhereMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

function fullKey({ prefix }: S3Location, key: string): string {
  return prefix === '' ? checkedKey(key) : `${prefix}/${checkedKey(key)}`;
}

function tooSlow(what: string, { shown }: S3Location, afterMs: number): HoldfastError {
  return new HoldfastError('Unavailable', `${what}: the object store ${shown} did not answer within ${afterMs} ms`, {
    outcome: 'unknown',
  });
}
