import type { VolumeBackend } from '../../common/volume-mounts.js';
import type { PathChange } from '../../common/volumes/diff.js';
import type { CallLimits } from '../calls/call-limits.js';
import type { ClientChoice } from '../infos.js';

/** How a volume is made. */
export interface VolumeCreateOptions extends ClientChoice {
  /** `cloud_bucket` (default): in the object store. `vast_local`: in a folder of the host to which its first placement binds it. */
  readonly backend?: VolumeBackend;
  /** What its files may hold together; writing above that fails. Default: no limit; a `vast_local` one must have it. */
  readonly sizeGb?: number;
  /** Where it is seen by whoever names no other path. */
  readonly mountPathDefault?: string;
  /** Of the host of a `vast_local` one: as in `PlacementOptions`. */
  readonly geolocation?: string | readonly string[];
}

/** How a mount is committed. */
export interface MountCommitOptions extends CallLimits {
  readonly message?: string;
  readonly onConflict?: 'last-writer-wins' | 'fail';
}

/** One state in the history of a volume. */
export interface VolumeCommit {
  readonly commitId: string;
  readonly at: Date;
  readonly message: string;
  /** Files and symbolic links in it. */
  readonly files: number;
  /** What they hold; holes do not count. */
  readonly bytes: number;
}

/** What two states differ in at one path. */
export type VolumeChange = PathChange;
