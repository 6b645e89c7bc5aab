import { open } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import type { _Object, CompletedPart, S3Client } from '@aws-sdk/client-s3';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type {
  Bucket,
  BucketKeys,
  BucketListing,
  BucketLocation,
  BucketObject,
  BucketPage,
} from '../../common/ports/bucket.js';
import { inParallel } from '../../common/volumes/in-parallel.js';
import { bucketError, isOtherRegion } from './bucket-errors.js';
import { isMissing, isPastEnd } from './s3-errors.js';
import { runOperation, type S3Task, s3Settings, withoutBody } from './s3-operation.js';

type Sdk = typeof import('@aws-sdk/client-s3');

/** Each request with all its attempts, besides the time that its bytes take. */
const requestMs = 20_000;
/** Larger files go up in parts. */
const smallestPartBytes = 8_388_608;
const maxParts = 10_000;
const partsAtOnce = 4;
/** Of servers that know no region `auto`, most call their one so. */
const usualRegion = 'us-east-1';

interface S3 {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly clock: Clock;
  readonly bucket: string;
  /** For messages. */
  readonly shown: string;
}

/** The bucket of `CloudBucketMount`, by keys of the user's. @throws PermissionDenied, NotFound, Unavailable */
export async function openS3Bucket(location: BucketLocation, keys: BucketKeys, clock: Clock): Promise<Bucket> {
  const sdk = await import('@aws-sdk/client-s3');
  const { bucketName: bucket, endpointUrl, region, prefix } = location;
  const shown = `${bucket} at ${endpointUrl}`;
  const regions = region === 'auto' ? [regionOf(endpointUrl) ?? region, usualRegion] : [region];
  for (const [i, one] of regions.entries()) {
    const s3: S3 = { sdk, client: clientOf(sdk, { ...location, region: one }, keys), clock, bucket, shown };
    try {
      await list(s3, { prefix: prefix === '' ? '' : `${prefix}/`, inFolders: false, limit: 1, after: null });
      return bucketOf(s3);
    } catch (error) {
      s3.client.destroy();
      if (!isOtherRegion(error) || i === regions.length - 1) throw error;
    }
  }
  throw new HoldfastError('Internal', `bucket ${shown} has no region to try`);
}

function clientOf(sdk: Sdk, { endpointUrl, region, forcePathStyle }: BucketLocation, keys: BucketKeys): S3Client {
  return new sdk.S3Client({
    ...s3Settings,
    ...{ endpoint: endpointUrl, region, forcePathStyle, credentials: keys },
  });
}

function regionOf(endpointUrl: string): string | null {
  return /\bs3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com/.exec(endpointUrl)?.[1] ?? null;
}

function bucketOf(s3: S3): Bucket {
  const { sdk, client, bucket } = s3;
  return {
    head: (key) => head(s3, key),
    list: (listing) => list(s3, listing),
    read: (object, offset, length) => read(s3, object, { offset, length }),
    put: (key, file) => (file.size <= smallestPartBytes ? putWhole(s3, key, file) : putInParts(s3, key, file)),
    copy: (object, to) => copy(s3, object, to),
    delete: async (key) => {
      const command = new sdk.DeleteObjectCommand({ Bucket: bucket, Key: key });
      await within(s3, { what: `deleting ${key}` }, (signal) =>
        client.send(command, withoutBody(signal)).catch(nullWhereMissing),
      );
    },
    close: () => client.destroy(),
  };
}

async function head(s3: S3, key: string): Promise<BucketObject | null> {
  const { sdk, client, bucket } = s3;
  const command = new sdk.HeadObjectCommand({ Bucket: bucket, Key: key });
  const found = await within(s3, { what: `looking for ${key}` }, (signal) =>
    client.send(command, withoutBody(signal)).catch(nullWhereMissing),
  );
  if (found === null) return null;
  const { ContentLength: size = 0, LastModified, ETag: etag = '' } = found;
  return { key, size, etag, modifiedMs: LastModified?.getTime() ?? 0 };
}

async function list(s3: S3, { prefix, inFolders, limit, after }: BucketListing): Promise<BucketPage> {
  const { sdk, client, bucket } = s3;
  const command = new sdk.ListObjectsV2Command({
    ...{ Bucket: bucket, Prefix: prefix, MaxKeys: limit, ...(inFolders ? { Delimiter: '/' } : {}) },
    ...(after === null ? {} : { ContinuationToken: after }),
  });
  const page = await within(s3, { what: `listing ${prefix}` }, (signal) => client.send(command, withoutBody(signal)));
  const { Contents = [], CommonPrefixes = [], IsTruncated = false, NextContinuationToken = null } = page;
  return {
    objects: Contents.flatMap(objectOf),
    folders: CommonPrefixes.flatMap(({ Prefix }) => (Prefix === undefined ? [] : [Prefix])),
    next: IsTruncated ? NextContinuationToken : null,
  };
}

function objectOf({ Key: key, Size: size = 0, LastModified, ETag: etag = '' }: _Object): BucketObject[] {
  return key === undefined ? [] : [{ key, size, etag, modifiedMs: LastModified?.getTime() ?? 0 }];
}

async function read(
  s3: S3,
  { key, etag }: BucketObject,
  { offset, length }: { readonly offset: number; readonly length: number },
): Promise<Uint8Array | null> {
  const { sdk, client, bucket } = s3;
  const range = `bytes=${offset}-${offset + length - 1}`;
  const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key, Range: range, IfMatch: etag });
  return await within(s3, { what: `reading ${key}` }, async (signal, coming) => {
    try {
      const { Body, ETag, ContentLength = 0 } = await client.send(command, withoutBody(signal));
      coming(ContentLength);
      // Some servers look over the condition.
      if (Body === undefined || ETag !== etag) return null;
      // The client stops looking at the signal once it has the head of an answer.
      addAbortSignal(signal, Body as Readable);
      const bytes = await Body.transformToByteArray();
      if (bytes.length > length) throw new Error(`a range of ${length} bytes was answered with ${bytes.length}`);
      return bytes;
    } catch (error) {
      if (isPastEnd(error) || isOther(error)) return null;
      return nullWhereMissing(error);
    }
  });
}

async function putWhole(s3: S3, key: string, file: { readonly path: string; readonly size: number }): Promise<void> {
  const { sdk, client, bucket } = s3;
  const body = await slice(file.path, 0, file.size);
  const command = new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: body, ContentLength: body.length });
  const task = { what: `storing ${key}`, bytes: body.length };
  await within(s3, task, (abortSignal) => client.send(command, { abortSignal }));
}

/** What was sent of one that fails is taken away. */
async function putInParts(s3: S3, key: string, { path, size }: { path: string; size: number }): Promise<void> {
  const { sdk, client } = s3;
  const target = { Bucket: s3.bucket, Key: key };
  const task = { what: `storing ${key}` };
  const begin = new sdk.CreateMultipartUploadCommand(target);
  const { UploadId } = await within(s3, task, (signal) => client.send(begin, withoutBody(signal)));
  const upload = { ...target, UploadId };
  const partBytes = Math.max(smallestPartBytes, Math.ceil(size / maxParts));
  const parts: CompletedPart[] = [];
  try {
    const numbers = Array.from({ length: Math.ceil(size / partBytes) }, (_, i) => i + 1);
    await inParallel(numbers, partsAtOnce, async (PartNumber) => {
      const offset = (PartNumber - 1) * partBytes;
      const Body = await slice(path, offset, Math.min(partBytes, size - offset));
      const command = new sdk.UploadPartCommand({ ...upload, PartNumber, Body, ContentLength: Body.length });
      const { ETag } = await within(s3, { ...task, bytes: Body.length }, (abortSignal) =>
        client.send(command, { abortSignal }),
      );
      parts[PartNumber - 1] = { PartNumber, ...(ETag === undefined ? {} : { ETag }) };
    });
    const complete = new sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } });
    await within(s3, task, (abortSignal) => client.send(complete, { abortSignal }));
  } catch (error) {
    const abort = new sdk.AbortMultipartUploadCommand(upload);
    // The first error says more; what is left then goes with the bucket's own rule for uploads that broke off.
    await within(s3, task, (signal) => client.send(abort, withoutBody(signal))).catch(() => undefined);
    throw error;
  }
}

async function copy(s3: S3, { key, etag }: BucketObject, to: string): Promise<boolean> {
  const { sdk, client, bucket } = s3;
  const source = `${bucket}/${key}`.split('/').map(encodeURIComponent).join('/');
  const command = new sdk.CopyObjectCommand({ Bucket: bucket, Key: to, CopySource: source, CopySourceIfMatch: etag });
  const copied = await within(s3, { what: `copying ${key}` }, (signal) =>
    client
      .send(command, withoutBody(signal))
      .catch((error: unknown) => (isOther(error) ? null : nullWhereMissing(error))),
  );
  return copied !== null;
}

async function slice(path: string, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  const file = await open(path);
  try {
    for (let at = 0; at < length; ) {
      const { bytesRead } = await file.read(bytes, at, length - at, offset + at);
      if (bytesRead === 0) throw new HoldfastError('Internal', `${path} ends before ${offset + length} bytes`);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** One request, with its deadline. @throws PermissionDenied, NotFound, Unavailable */
function within<T>({ clock, shown }: S3, task: S3Task, run: Parameters<typeof runOperation<T>>[1]): Promise<T> {
  const { what } = task;
  const fail = (error: unknown): HoldfastError => bucketError(error, what, shown);
  const late = (afterMs: number): HoldfastError =>
    new HoldfastError('Unavailable', `${what} in bucket ${shown}: no answer within ${afterMs} ms`, {
      outcome: 'unknown',
    });
  return runOperation({ ...task, clock, withinMs: requestMs, fail, late }, run);
}

function nullWhereMissing(error: unknown): null {
  if (isMissing(error)) return null;
  throw error;
}

/** Whether it says that an object has other bytes than were asked for. */
function isOther(error: unknown): boolean {
  const { name, $metadata } = error as { readonly name?: string; readonly $metadata?: { httpStatusCode?: number } };
  return name === 'PreconditionFailed' || $metadata?.httpStatusCode === 412;
}
