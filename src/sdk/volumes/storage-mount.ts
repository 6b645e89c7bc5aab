import type { CloudBucketMount } from './cloud-bucket-mount.js';
import type { NetworkFileSystem } from './network-file-system.js';
import type { Volume } from './volume.js';

/** What `volumes` of a class, a function, a sandbox or a session can name. */
export type StorageMount = Volume | CloudBucketMount | NetworkFileSystem;
