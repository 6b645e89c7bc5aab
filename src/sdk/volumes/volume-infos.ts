import type { PathChange } from '../../common/volumes/diff.js';
import type { ClientChoice } from '../infos.js';

/** How a volume is made. */
export interface VolumeCreateOptions extends ClientChoice {
  /** What its files may hold together; a commit above that is refused. Default: no limit. */
  readonly sizeGb?: number;
}

/** How a mount is committed. */
export interface MountCommitOptions {
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
