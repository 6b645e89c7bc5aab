import { ulid } from 'ulid';
import type { Clock } from '../clock.js';
import { HoldfastError, isHoldfastError } from '../errors.js';
import type { ObjectStore } from '../ports/object-store.js';
import type { CommitRecord, HeldCommit, RootRecord, VolumeRecord, VolumeStore } from '../ports/volume-store.js';
import type { Turns } from '../turns.js';
import type { NodeStore } from './change-directory.js';
import type { DirectoryEntry } from './entry.js';
import { type CommitHolds, KeptHold } from './hold.js';
import { mergeTrees } from './merge.js';
import { encodeNode } from './node-codec.js';
import type { ObjectReader } from './object-reader.js';
import { emptyDirectory } from './tree.js';
import { Uploads, type UploadTotals } from './uploads.js';

/** What commits of an account's volumes are made with. */
export interface CommitParts {
  readonly volumes: Pick<VolumeStore, 'find' | 'publish'>;
  readonly holds: CommitHolds;
  readonly objects: Pick<ObjectStore, 'has' | 'put'>;
  readonly reader: ObjectReader;
  readonly clock: Clock;
}

export interface CommitOptions {
  readonly message: string;
  readonly onConflict: 'last-writer-wins' | 'fail';
  readonly signal?: AbortSignal | undefined;
  /** In which those of this process that were late merge and try again: all at once they would be late for each other. */
  readonly turns?: Turns | undefined;
}

export interface Committed {
  readonly commit: CommitRecord;
  /** What was really sent. */
  readonly sent: UploadTotals;
}

/** What a commit is built with: directories of the base to read, objects to store. */
export interface TreeBuilder extends NodeStore {
  readonly uploads: Uploads;
}

const bytesPerGb = 1_073_741_824;
const rootMode = 0o755;
const mergePauseMs = 20;

/**
 * Publishes a new state of a volume, built on one that is known; what others have published since is merged into it. All of it
 * or nothing: the head moves, in one step, when every object is there.
 *
 * @param base what the changes are relative to; null: an empty volume
 * @param build makes the new root of the base's; its objects go up meanwhile. May be called once only
 * @throws CommitConflict with `onConflict: 'fail'`, naming the paths; PayloadTooLarge above `sizeGb`; NotFound where the volume
 * was deleted; Unavailable, to be tried again from the beginning
 */
export async function commitVolume(
  parts: CommitParts,
  on: {
    readonly volume: VolumeRecord;
    readonly base: CommitRecord | null;
    /** Of which the new state takes something over. */
    readonly source?: HeldCommit;
  },
  make: {
    readonly build: (root: DirectoryEntry, builder: TreeBuilder) => Promise<DirectoryEntry>;
    readonly options: CommitOptions;
  },
): Promise<Committed> {
  const { clock, holds } = parts;
  const { volume, base, source } = on;
  const id = ulid(clock.now());
  const held = base === null ? null : { volumeId: volume.id, commitId: base.id };
  const hold = await KeptHold.take({ holds, clock, account: volume.account }, id, held);
  const began = clock.monotonic();
  let isPublished = false;
  try {
    if (source !== undefined) await holdSource(parts, hold, source);
    const uploads = new Uploads({ objects: parts.objects, holds, clock, hold });
    const builder = builderOf(parts.reader, uploads);
    const before = rootOf(base, clock.now());
    const mine = await make.build(before, builder);
    const publishing = new Publishing(parts, { volume, hold, builder, options: make.options });
    const commit = await publishing.publish(id, { base, before, mine });
    isPublished = true;
    return { commit, sent: uploads.totals };
  } catch (error) {
    throw named(error, volume, clock.monotonic() - began);
  } finally {
    await hold.release({ isPublished });
  }
}

/** Kept by the commit's own hold: a sweep sees either that or the new commit. @throws NotFound */
async function holdSource({ holds }: CommitParts, { account, id }: KeptHold, source: HeldCommit): Promise<void> {
  if (await holds.holdAlso(account, id, source)) return;
  throw new HoldfastError('NotFound', `commit ${source.commitId} is not in the history of its volume any more`);
}

/** The directory at the top of a commit; an empty one where there is none. */
export function rootOf(commit: CommitRecord | null, nowMs: number): DirectoryEntry {
  if (commit === null)
    return emptyDirectory({ mode: rootMode, mtimeSeconds: Math.floor(nowMs / 1_000), mtimeNanos: 0 });
  const { hash, ...rest } = commit.root;
  return { type: 'directory', node: { hash }, ...rest };
}

/** A new tree, and what it was made from. */
interface Made {
  readonly base: CommitRecord | null;
  readonly before: DirectoryEntry;
  readonly mine: DirectoryEntry;
}

class Publishing {
  readonly #parts: CommitParts;
  readonly #volume: VolumeRecord;
  readonly #hold: KeptHold;
  readonly #builder: TreeBuilder;
  readonly #options: CommitOptions;

  constructor(
    parts: CommitParts,
    on: {
      readonly volume: VolumeRecord;
      readonly hold: KeptHold;
      readonly builder: TreeBuilder;
      readonly options: CommitOptions;
    },
  ) {
    this.#parts = parts;
    this.#volume = on.volume;
    this.#hold = on.hold;
    this.#builder = on.builder;
    this.#options = on.options;
  }

  /** Merges and tries until the head is what the merge was made on. */
  async publish(id: string, from: Made): Promise<CommitRecord> {
    const first = await this.#tried(id, from.mine, from.base);
    if ('commit' in first) return first.commit;
    const { turns } = this.#options;
    if (turns === undefined) return await this.#untilPublished(id, from, first.moved);
    return await turns.take(async () => await this.#untilPublished(id, from, await this.#headNow()));
  }

  async #untilPublished(id: string, from: Made, moved: CommitRecord | null): Promise<CommitRecord> {
    for (let seen = moved; ; ) {
      const { head, root } = await this.#mergedInto(seen, from);
      const tried = await this.#tried(id, root, head);
      if ('commit' in tried) return tried.commit;
      seen = tried.moved;
    }
  }

  /** Once; what the head is where it has moved. */
  async #tried(
    id: string,
    root: DirectoryEntry,
    head: CommitRecord | null,
  ): Promise<{ readonly commit: CommitRecord } | { readonly moved: CommitRecord | null }> {
    this.#options.signal?.throwIfAborted();
    const commit = await this.#commitOf(id, root, head);
    const result = await this.#send(commit, head?.id ?? null);
    switch (result.outcome) {
      case 'published':
        return { commit };
      case 'moved':
        return { moved: result.head };
      case 'lapsed':
        throw tryAgain(this.#volume, 'took too long');
      case 'gone':
        throw deleted(this.#volume);
      default:
        return result satisfies never;
    }
  }

  async #headNow(): Promise<CommitRecord | null> {
    const now = await this.#parts.volumes.find(this.#volume.account, this.#volume.name);
    if (now?.volume.id !== this.#volume.id) throw deleted(this.#volume);
    return now.head;
  }

  /** Into a head that is held, so that nothing of it goes while it is read. */
  async #mergedInto(
    seen: CommitRecord | null,
    from: Made,
  ): Promise<{ readonly head: CommitRecord | null; readonly root: DirectoryEntry }> {
    const { holds } = this.#parts;
    const { account, id: volumeId } = this.#volume;
    for (let head = seen; head !== null; ) {
      if (await holds.holdAlso(account, this.#hold.id, { volumeId, commitId: head.id })) {
        return { head, root: await this.#merged(from, head) };
      }
      const now = await this.#headNow();
      if (now?.id === head.id) throw tryAgain(this.#volume, 'took too long');
      head = now;
    }
    return { head: null, root: from.mine };
  }

  async #merged({ before, mine }: Made, head: CommitRecord): Promise<DirectoryEntry> {
    const theirs = rootOf(head, 0);
    const { root, conflicts } = await mergeTrees(this.#builder, { base: before, mine, theirs });
    if (conflicts.length === 0 || this.#options.onConflict === 'last-writer-wins') return root;
    const shown = conflicts.slice(0, 3).join(', ');
    throw new HoldfastError(
      'CommitConflict',
      `volume ${this.#volume.name}: ${shown}${conflicts.length > 3 ? ' and others' : ''} changed here and in commit ${head.id}; reload, and commit again`,
      { details: { paths: conflicts, head: head.id } },
    );
  }

  async #commitOf(id: string, root: DirectoryEntry, head: CommitRecord | null): Promise<CommitRecord> {
    const { uploads } = this.#builder;
    const { mode, mtimeSeconds, mtimeNanos, files, bytes } = root;
    checkSize(this.#volume, bytes);
    const hash =
      root.node.hash ?? (await uploads.object(root.node.inline ?? encodeNode({ kind: 'leaf', entries: new Map() })));
    await uploads.flushed();
    const record: RootRecord = { hash, mode, mtimeSeconds, mtimeNanos, files, bytes };
    return {
      id,
      parent: head?.id ?? null,
      root: record,
      message: this.#options.message,
      atMs: this.#parts.clock.now(),
    };
  }

  /** An attempt whose answer was lost is made again: it has its own id. */
  async #send(commit: CommitRecord, expected: string | null) {
    const { volumes, clock } = this.#parts;
    const { over } = this.#hold;
    over.throwIfAborted();
    for (;;) {
      try {
        return await volumes.publish(this.#volume, commit, { holdId: this.#hold.id, expected });
      } catch (error) {
        if (!isHoldfastError(error) || !error.retryable) throw error;
        await clock.sleep(mergePauseMs, over).catch(() => undefined); // over: nobody waits any longer
        if (over.aborted) throw unanswered(this.#volume, commit.id, error);
      }
    }
  }
}

function builderOf(reader: ObjectReader, uploads: Uploads): TreeBuilder {
  return { uploads, store: (bytes) => uploads.store(bytes), node: (blob) => reader.node(blob) };
}

function tryAgain({ name }: VolumeRecord, why: string): HoldfastError {
  return new HoldfastError('Unavailable', `the commit to volume ${name} ${why}; nothing of it is published, try again`);
}

function unanswered({ name }: VolumeRecord, id: string, cause: HoldfastError): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    `whether commit ${id} to volume ${name} is published is not known, as the store does not answer (${cause.message}): look at its history, or try again`,
    { outcome: 'unknown', cause },
  );
}

/** What stores say of themselves does not say what became of the commit. */
function named(error: unknown, { name }: VolumeRecord, afterMs: number): unknown {
  if (!isHoldfastError(error, 'Unavailable') || error.message.includes(`volume ${name} `)) return error;
  const seconds = Math.round(afterMs / 1_000);
  const { message, retryable } = error;
  const next = retryable ? ', try again' : '';
  return new HoldfastError(
    'Unavailable',
    `the commit to volume ${name} failed after ${seconds} s: ${message}; nothing of it is published${next}`,
    { retryable, details: { volume: name, seconds }, cause: error },
  );
}

function deleted({ name }: VolumeRecord): HoldfastError {
  return new HoldfastError('NotFound', `volume ${name} was deleted while a commit was on its way`);
}

/** @throws PayloadTooLarge */
export function checkSize({ name, sizeGb }: VolumeRecord, bytes: number): void {
  if (sizeGb === null || bytes <= sizeGb * bytesPerGb) return;
  throw new HoldfastError(
    'PayloadTooLarge',
    `volume ${name} would hold ${bytes} bytes, its sizeGb of ${sizeGb} allows ${Math.floor(sizeGb * bytesPerGb)}: remove files first`,
    { details: { bytes, sizeGb } },
  );
}
