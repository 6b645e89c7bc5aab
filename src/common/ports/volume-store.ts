import type { Hash } from '../volumes/entry.js';

/** What is known of a volume beside what is in it. */
export interface VolumeRecord {
  readonly account: string;
  readonly name: string;
  /** A ULID; a name that is made again is another volume. */
  readonly id: string;
  readonly backend: 'cloud_bucket' | 'vast_local';
  /** Null: no limit. */
  readonly sizeGb: number | null;
  readonly mountPathDefault: string | null;
  readonly geolocation: readonly string[];
  /** It goes when its lease lapses. */
  readonly isEphemeral: boolean;
  readonly createdAtMs: number;
}

/** One state of a volume. */
export interface CommitRecord {
  /** A ULID that the committer drew: the same commit, when it is published again. */
  readonly id: string;
  readonly parent: string | null;
  readonly root: RootRecord;
  readonly message: string;
  readonly atMs: number;
}

/** The directory at the top of a tree, always kept by its hash. */
export interface RootRecord {
  readonly hash: Hash;
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly files: number;
  readonly bytes: number;
}

/** `moved`: another commit is the head. `lapsed`: the hold is over, what it held may be gone. `gone`: there is no such volume. */
export type PublishResult =
  | { readonly outcome: 'published' }
  | { readonly outcome: 'moved'; readonly head: CommitRecord | null }
  | { readonly outcome: 'lapsed' }
  | { readonly outcome: 'gone' };

/** Names, heads and histories of volumes. Lives are those of the store's clock. */
export interface VolumeStore {
  /** @param ttlMs of an ephemeral one; null: for ever. Where the name is taken, who has it */
  create(
    volume: VolumeRecord,
    ttlMs: number | null,
  ): Promise<{ readonly created: boolean; readonly volume: VolumeRecord }>;
  /** Null also where its lease has lapsed. */
  find(
    account: string,
    name: string,
  ): Promise<{ readonly volume: VolumeRecord; readonly head: CommitRecord | null } | null>;
  /** By name. */
  list(account: string): Promise<VolumeRecord[]>;
  /** With its commits; what they refer to goes with the next sweep. False where there is none of that name and id. */
  delete(account: string, name: string, id: string): Promise<boolean>;
  /**
   * Binds it to a host, unless it is bound; the host that has it, '' where none has. Null: there is no such volume.
   *
   * @param to null: only asks
   */
  bind(volume: Pick<VolumeRecord, 'account' | 'name' | 'id'>, to: string | null): Promise<string | null>;
  /** Renews the lease of an ephemeral one. False: it is gone. */
  extend(volume: Pick<VolumeRecord, 'account' | 'name' | 'id'>, ttlMs: number): Promise<boolean>;
  /** Deletes volumes whose lease has lapsed, some at a time; their names. */
  expire(account: string): Promise<string[]>;
  commit(account: string, volumeId: string, commitId: string): Promise<CommitRecord | null>;
  /** Newest first. @param after id of the last one of the page before */
  commits(
    account: string,
    volumeId: string,
    page: { readonly limit: number; readonly after: string | null },
  ): Promise<CommitRecord[]>;
  /** Drops commits that are older than this one, some at a time; how many went. None where it is not in the history. */
  forgetBefore(account: string, volumeId: string, commitId: string): Promise<number>;
  /**
   * Makes the commit the head, in one compare-and-set, and ends the hold. What the commit refers to stays for as long as it is
   * in the history. @param expected id of the head; null: none yet
   */
  publish(
    volume: Pick<VolumeRecord, 'account' | 'name' | 'id'>,
    commit: CommitRecord,
    on: { readonly holdId: string; readonly expected: string | null },
  ): Promise<PublishResult>;
}

/**
 * Who needs what that no commit in a history refers to: commits under way, and those who read an old one. A sweep removes
 * nothing that a hold has, nor what was published under one since the sweep began, nor what that hold had.
 *
 * I1. An object is removed only while it is condemned, and condemned only while no hold has reserved it.
 * I2. What is condemned cannot be reserved: who wants it waits until it was removed and puts it there again.
 * I3. A hold whose time has passed publishes nothing.
 */
export interface VolumeHolds {
  /** Takes a hold. False: the commit that it shall keep is not in the history (any more). */
  hold(
    account: string,
    hold: { readonly id: string; readonly ttlMs: number; readonly commit: HeldCommit | null },
  ): Promise<boolean>;
  /** Keeps another commit, too. False: the hold has lapsed, or that commit is not in the history. */
  holdAlso(account: string, id: string, commit: HeldCommit): Promise<boolean>;
  /** False: it has lapsed. */
  renew(account: string, id: string, ttlMs: number): Promise<boolean>;
  /** Keeps objects until the hold is over; returns those that are condemned and were not reserved. Null: it has lapsed. */
  reserve(account: string, id: string, hashes: readonly Hash[]): Promise<Hash[] | null>;
  release(account: string, id: string): Promise<void>;
  /** Roots of the commits that holds name; during a sweep also of those that a commit has ended since that began. */
  heldRoots(account: string): Promise<Hash[]>;

  /** False: another sweep is under way. */
  beginSweep(account: string, id: string, ttlMs: number): Promise<boolean>;
  /** False: it has lapsed. */
  renewSweep(account: string, id: string, ttlMs: number): Promise<boolean>;
  /** Of these, those that may be removed, within `ttlMs` of the call. Null: the sweep has lapsed. */
  condemn(
    sweep: { readonly account: string; readonly id: string; readonly ttlMs: number },
    hashes: readonly Hash[],
  ): Promise<Hash[] | null>;
  /** What was condemned is removed. */
  absolve(account: string, id: string): Promise<void>;
  endSweep(account: string, id: string): Promise<void>;
}

export interface HeldCommit {
  readonly volumeId: string;
  readonly commitId: string;
}
