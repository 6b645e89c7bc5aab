import { ulid } from 'ulid';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { CommitRecord, VolumeRecord, VolumeStore } from '../../common/ports/volume-store.js';
import { type MissingVolume, volumeToMake } from '../../common/volume-mounts.js';
import { type CommitParts, commitVolume, rootOf } from '../../common/volumes/commit.js';
import type { DirectoryEntry } from '../../common/volumes/entry.js';
import { KeptHold } from '../../common/volumes/hold.js';
import { hashOf } from '../../common/volumes/object-reader.js';
import { discardChanges, type Outdated, rebase } from './overlay/overlay-rebase.js';
import { drop, settle, storeTree, takeSnapshot } from './overlay/overlay-snapshot.js';
import type { OverlayTree } from './overlay/overlay-tree.js';
import { patientStore } from './patient-store.js';

export interface MountOptions {
  readonly account: string;
  /** Name of the volume. */
  readonly volume: string;
  /** What is made where there is none; null: nothing. */
  readonly whenMissing: MissingVolume | null;
  readonly isReadOnly: boolean;
  /** Nothing of it is ever committed. */
  readonly isPrivate: boolean;
  /** From time to time, and when it is unmounted. */
  readonly commitsByItself: boolean;
}

export interface VolumeMountParts {
  readonly commits: CommitParts;
  readonly create: VolumeStore['create'];
  /** Brings here what programs have written and the kernel still has. */
  readonly flush: () => Promise<void>;
  /** Tells the kernel what it remembers wrongly. */
  readonly tell: (outdated: readonly Outdated[]) => Promise<void>;
}

export interface CommitAsk {
  readonly message: string;
  readonly onConflict: 'last-writer-wins' | 'fail';
  /** Nobody has asked for it: what is missing in files is told to whoever does. */
  readonly isByItself?: boolean;
}

/** A state of a volume that is kept for as long as it is looked at. */
interface Held {
  readonly volume: VolumeRecord;
  readonly head: CommitRecord | null;
  /** Null: there is nothing to keep yet, or the store went away when it was published, and it is taken later. */
  readonly hold: KeptHold | null;
}

/**
 * One volume as it is mounted somewhere: a commit, and the changes that were made on it.
 *
 * I1. What the tree stands on is held, unless the store is away: no sweep takes it.
 * I2. Commits and reloads are made one after the other.
 */
export class VolumeMount {
  readonly tree: OverlayTree;
  readonly options: MountOptions;
  readonly #parts: VolumeMountParts;
  #at: Held;
  #isClosed = false;
  #turn: Promise<unknown> = Promise.resolve();

  /** @throws NotFound, Unavailable */
  static async attach(
    given: VolumeMountParts,
    options: MountOptions,
    treeOf: (root: DirectoryEntry) => OverlayTree,
  ): Promise<VolumeMount> {
    const parts = { ...given, commits: patientStore(given.commits) };
    await makeMissing(parts, options);
    const at = await heldHead(parts.commits, options);
    const tree = treeOf(rootOf(at.head, parts.commits.clock.now()));
    return new VolumeMount(parts, { options, at, tree });
  }

  private constructor(
    parts: VolumeMountParts,
    { options, at, tree }: { readonly options: MountOptions; readonly at: Held; readonly tree: OverlayTree },
  ) {
    this.#parts = parts;
    this.options = options;
    this.#at = at;
    this.tree = tree;
  }

  get volume(): VolumeRecord {
    return this.#at.volume;
  }

  /**
   * Publishes what was changed; the id of the commit, or of the one that it stands on where nothing was. What others have
   * published meanwhile is seen here from now on.
   *
   * @throws CommitConflict, PayloadTooLarge, NotFound, InvalidArgument for one that is read-only or private, Unavailable
   */
  async commit(ask: CommitAsk): Promise<string> {
    const { isReadOnly, isPrivate, volume } = this.options;
    if (isReadOnly || isPrivate)
      throw new HoldfastError(
        'InvalidArgument',
        `this mount of volume ${volume} is ${isReadOnly ? 'read-only' : 'private'}: nothing of it is committed`,
      );
    return await this.#inTurn(async () => {
      await this.#parts.flush();
      if (ask.isByItself !== true) this.checkWritten();
      const base = this.#at.head;
      // A message is not lost to the commit that the mount has just made by itself.
      const isSaid = ask.message === '' || ask.message === base?.message;
      if (base !== null && isSaid && !this.tree.isChanged) return base.id;
      const commit = await this.#publish(ask);
      await this.#standOn(commit);
      return commit.id;
    });
  }

  /** @throws NoCapacity, once, where the kernel could not bring here what programs have written */
  checkWritten(): void {
    const missing = this.tree.unwritten.take();
    if (missing === null) return;
    throw new HoldfastError(
      'NoCapacity',
      `writing to volume ${this.options.volume} failed after the programs had gone on: ${missing}; write these files again, or commit once more without what is missing in them`,
      { retryable: false },
    );
  }

  /** Shows the newest commit; its id, '' where there is none. @throws CommitConflict where changes would be lost, unless forced */
  async reload(isForced: boolean): Promise<string> {
    return await this.#inTurn(async () => {
      await this.#parts.flush();
      if (this.tree.isChanged && !isForced)
        throw new HoldfastError(
          'CommitConflict',
          `this mount of volume ${this.options.volume} has changes that are not committed: commit them, or reload by force and lose them`,
        );
      const next = await heldHead(this.#parts.commits, this.options);
      // What was written meanwhile stays: the base moves below it.
      const isDiscarded = isForced && this.tree.isChanged;
      await this.#moveTo(next, isDiscarded);
      return next.head?.id ?? '';
    });
  }

  /** Keeps what it stands on, also where the store was away for so long that the hold lapsed. */
  async keepHold(): Promise<void> {
    await this.#inTurn(async () => {
      const { hold, head, volume } = this.#at;
      if (this.#isClosed || head === null || hold?.over.aborted === false) return;
      this.#at = { head, volume, hold: await this.#holdOf(volume, head) };
    });
  }

  async close(): Promise<void> {
    await this.#inTurn(async () => {
      this.#isClosed = true;
      await this.#at.hold?.release();
    });
  }

  async #publish({ message, onConflict }: CommitAsk): Promise<CommitRecord> {
    const snapshot = takeSnapshot(this.tree.root);
    let isPublished = false;
    try {
      const { volume, head } = this.#at;
      const { commit } = await commitVolume(
        this.#parts.commits,
        { volume, base: head },
        { build: (_, builder) => storeTree(builder, snapshot), options: { message, onConflict } },
      );
      settle(snapshot);
      isPublished = true;
      return commit;
    } finally {
      if (!isPublished) drop(snapshot);
    }
  }

  /** On what was just published: with changes of others in it, if there were any. */
  async #standOn(commit: CommitRecord): Promise<void> {
    const { volume } = this.#at;
    // It is published, whatever becomes of its hold: a sweep leaves what is new in a history.
    const hold = await this.#holdOf(volume, commit).catch((error: unknown) => {
      if (isHoldfastError(error, 'Unavailable')) return null;
      throw error;
    });
    await this.#moveTo({ volume, head: commit, hold }, false);
  }

  /** @param isDiscarded what was changed since the last commit */
  async #moveTo(next: Held, isDiscarded: boolean): Promise<void> {
    const root = rootOf(next.head, this.#parts.commits.clock.now());
    try {
      if (isDiscarded) await this.#parts.tell(await discardChanges(this.tree));
      if (!isSameRoot(this.tree.root.base, root)) await this.#parts.tell(await rebase(this.tree, root));
    } catch (error) {
      await next.hold?.release();
      throw error;
    }
    // What was changed here and by others was counted twice.
    if (!this.tree.isChanged) this.tree.countBytes(root.bytes - this.tree.bytes);
    const { hold } = this.#at;
    this.#at = next;
    await hold?.release();
  }

  async #holdOf(volume: VolumeRecord, { id: commitId }: CommitRecord): Promise<KeptHold> {
    const { holds, clock } = this.#parts.commits;
    const id = ulid(clock.now());
    return await KeptHold.take({ holds, clock, account: volume.account }, id, { volumeId: volume.id, commitId });
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined); // told to whoever asked for it
    return await mine;
  }
}

async function makeMissing(
  { commits: { volumes, clock }, create }: VolumeMountParts,
  { account, volume: name, whenMissing }: MountOptions,
): Promise<void> {
  if (whenMissing === null || (await volumes.find(account, name)) !== null) return;
  const now = clock.now();
  // Of several that make it at once one is first, and the others have that.
  await create(volumeToMake({ account, name, id: ulid(now) }, whenMissing, now), null);
}

/** The newest state of a volume, held. @throws NotFound, Unavailable */
async function heldHead(parts: CommitParts, { account, volume: name }: MountOptions): Promise<Held> {
  const { volumes, holds, clock } = parts;
  for (;;) {
    const found = await volumes.find(account, name);
    if (found === null)
      throw new HoldfastError('NotFound', `there is no volume ${name} to mount: create it, or say createIfMissing`);
    const { volume, head } = found;
    if (head === null) return { volume, head, hold: null };
    try {
      const id = ulid(clock.now());
      const hold = await KeptHold.take({ holds, clock, account }, id, { volumeId: volume.id, commitId: head.id });
      return { volume, head, hold };
    } catch (error) {
      // It had left the history before it was held: there is a newer one.
      if (!isHoldfastError(error, 'NotFound')) throw error;
      const now = await volumes.find(account, name);
      if (now?.head?.id === head.id) throw error;
    }
  }
}

function isSameRoot(a: DirectoryEntry, b: DirectoryEntry): boolean {
  const [left, right] = [a, b].map(({ node }) => node.hash ?? hashOf(node.inline));
  return left === right && a.mode === b.mode;
}
