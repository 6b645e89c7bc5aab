/** An object of somebody's bucket. */
export interface BucketObject {
  readonly key: string;
  readonly size: number;
  readonly modifiedMs: number;
  /** Of its bytes: others have another one. */
  readonly etag: string;
}

export interface BucketPage {
  readonly objects: readonly BucketObject[];
  /** Prefixes of further objects, each with the slash at its end. */
  readonly folders: readonly string[];
  /** Null: it was the last one. */
  readonly next: string | null;
}

export interface BucketListing {
  readonly prefix: string;
  /** What has a slash after the prefix is told as a folder. */
  readonly inFolders: boolean;
  readonly limit: number;
  /** Of the page before; null: from the begin. */
  readonly after: string | null;
}

/** Where a bucket is, and who is there. */
export interface BucketLocation {
  readonly bucketName: string;
  readonly endpointUrl: string;
  readonly region: string;
  readonly forcePathStyle: boolean;
  /** Of all keys that are seen, without slashes at its ends; may be empty. The user's rights may end with it. */
  readonly prefix: string;
}

export interface BucketKeys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * A bucket of the user's. Each operation ends within a bound that the adapter has.
 *
 * @throws (each) PermissionDenied, NotFound where there is no such bucket, Unavailable
 */
export interface Bucket {
  /** Null: there is no object of that key. */
  head(key: string): Promise<BucketObject | null>;
  list(listing: BucketListing): Promise<BucketPage>;
  /** Null: it is not there any more, or has other bytes. */
  read(object: BucketObject, offset: number, length: number): Promise<Uint8Array | null>;
  /** The bytes of a file, whole or not at all; its time bound is that of each part. */
  put(key: string, file: { readonly path: string; readonly size: number }): Promise<void>;
  /** False: there is no object of that key. @param object at most `maxCopyBytes` */
  copy(object: BucketObject, to: string): Promise<boolean>;
  /** Also where there is none. */
  delete(key: string): Promise<void>;
  close(): void;
}

/** What S3 copies in one step. */
export const maxCopyBytes = 5 * 1_073_741_824;

/** @throws PermissionDenied for the keys, NotFound for the bucket, Unavailable where nobody answers */
export type OpenBucket = (location: BucketLocation, keys: BucketKeys) => Promise<Bucket>;
