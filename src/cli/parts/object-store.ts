import { createDiskObjectStore } from '../../adapters/disk/disk-object-store.js';
import { openS3ObjectStore } from '../../adapters/s3/s3-object-store.js';
import { parseS3Url } from '../../adapters/s3/s3-url.js';
import { systemClock } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';

/** Objects, and the names of the servers of one's own that keep them. */
export interface OpenedObjectStore {
  readonly objects: ObjectStore;
  readonly hosts: readonly string[];
}

/** @param place a folder, or a bucket: `s3://bucket/prefix?endpoint=…`. @throws InvalidArgument, Unavailable */
export async function openObjectStore(place: string): Promise<OpenedObjectStore> {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(place)?.[1];
  if (scheme === undefined) return { objects: createDiskObjectStore({ folder: place }), hosts: [] };
  if (scheme !== 's3')
    throw new HoldfastError(
      'InvalidArgument',
      `an object store is a folder or s3://bucket/prefix, got ${scheme}://…: give --object-store one of them`,
    );
  const { endpoint } = parseS3Url(place);
  // Which Node later versions of the client library want is our concern when we take one, and no line for operators to read.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  return {
    objects: await openS3ObjectStore({ url: place, clock: systemClock }),
    // That of AWS is everybody's: programs in sandboxes may have buckets of their own there.
    hosts: endpoint === null ? [] : [new URL(endpoint).hostname.replace(/^\[|\]$/g, '')],
  };
}
