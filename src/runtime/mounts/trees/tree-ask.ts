import type { BucketKeys } from '../../../common/ports/bucket.js';
import type { BucketReference } from '../../../common/volume-mounts.js';

/** A mount of something that is no volume. */
export interface TreeAsk {
  /** Of its folder. */
  readonly name: string;
  /** The user of the host whose files they are. */
  readonly uid: number;
  readonly isReadOnly: boolean;
  /** What its unfinished files may take on this host. */
  readonly maxLocalBytes: number;
  readonly source: TreeSource;
}

export type TreeSource =
  | { readonly kind: 'bucket'; readonly bucket: BucketReference; readonly keys: BucketKeys }
  | { readonly kind: 'live'; readonly account: string; readonly name: string; readonly isMadeIfMissing: boolean };
