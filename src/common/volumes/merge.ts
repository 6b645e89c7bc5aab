import { changeDirectory, type NodeStore } from './change-directory.js';
import { differencesOf, lookUp } from './directory.js';
import { type DirectoryEntry, type Entry, sameBlob, sameContent, sameEntry } from './entry.js';
import { type Path, showPath } from './paths.js';
import { emptyDirectory } from './tree.js';

/** Three states of one thing: what both started from, and what each made of it. */
interface Three<T> {
  readonly base: T | null;
  readonly mine: T | null;
  readonly theirs: T | null;
}

export interface Merged {
  readonly root: DirectoryEntry;
  /** Paths that both changed, to different things; mine is in `root`. Of very many only some. */
  readonly conflicts: readonly string[];
}

const keptConflicts = 100;

/**
 * Both sides' changes in one tree. Different paths merge; where both changed the same path, mine stands. A directory that one
 * side removed stays where the other has put something into it that was not there before.
 */
export async function mergeTrees(
  store: NodeStore,
  roots: { readonly base: DirectoryEntry; readonly mine: DirectoryEntry; readonly theirs: DirectoryEntry },
): Promise<Merged> {
  const conflicts: string[] = [];
  const merge = new Merge(store, (path) => {
    if (conflicts.length < keptConflicts) conflicts.push(showPath(path));
  });
  const root = await merge.directories([], roots);
  return { root: root ?? emptyDirectory(roots.mine), conflicts };
}

class Merge {
  readonly #store: NodeStore;
  readonly #onConflict: (path: Path) => void;

  constructor(store: NodeStore, onConflict: (path: Path) => void) {
    this.#store = store;
    this.#onConflict = onConflict;
  }

  /** Null where none of them is left. */
  async directories(path: Path, { base, mine, theirs }: Three<DirectoryEntry>): Promise<DirectoryEntry | null> {
    const shape = mine ?? theirs;
    if (shape === null) return null;
    const start = theirs ?? emptyDirectory(shape);
    const changes = new Map<string, Entry | null>();
    for await (const { name, before, after } of differencesOf(this.#store, base, mine)) {
      const standing = theirs === null ? null : await lookUp(this.#store, theirs, name);
      const merged = await this.#entry([...path, name], { base: before, mine: after, theirs: standing });
      if (!sameEntry(merged, standing)) changes.set(name, merged);
    }
    const merged = await changeDirectory(this.#store, start, changes);
    return { ...merged, ...this.#attributes(path, { base, mine, theirs }) };
  }

  async #entry(path: Path, { base, mine, theirs }: Three<Entry>): Promise<Entry | null> {
    // Whose time alone is new has changed nothing that could be lost.
    if (sameContent(theirs, base)) return mine;
    if (sameContent(mine, base)) return theirs;
    if (isDirectoryOrNone(mine) && isDirectoryOrNone(theirs) && (mine ?? theirs) !== null) {
      return await this.#removable(path, { base: base?.type === 'directory' ? base : null, mine, theirs });
    }
    if (!sameContent(mine, theirs)) this.#onConflict(path);
    return mine;
  }

  /** Where one side has none any more, it is gone unless something in it is only the other's. */
  async #removable(path: Path, three: Three<DirectoryEntry>): Promise<DirectoryEntry | null> {
    const { base, mine, theirs } = three;
    const merged = await this.directories(path, three);
    if (mine !== null && theirs !== null) return merged;
    const isMarked = mine !== null && mine.mode !== base?.mode;
    // One made a directory, or marked it, of what the other removed.
    if (base === null || isMarked) this.#onConflict(path);
    return merged !== null && isEmpty(merged) && !isMarked ? null : merged;
  }

  /** The mode of whoever changed it; of two times the later, as both have changed what is in it. */
  #attributes(path: Path, { base, mine, theirs }: Three<DirectoryEntry>): ReturnType<typeof attributesOf> {
    if (mine === null || theirs === null) return attributesOf((mine ?? theirs) as DirectoryEntry);
    const isTheirs = base !== null && mine.mode === base.mode;
    const isContended = !isTheirs && mine.mode !== theirs.mode && theirs.mode !== base?.mode;
    if (isContended) this.#onConflict(path);
    const later = isLater(theirs, mine) ? theirs : mine;
    return { ...attributesOf(later), mode: isTheirs ? theirs.mode : mine.mode };
  }
}

function isDirectoryOrNone(entry: Entry | null): entry is DirectoryEntry | null {
  return entry === null || entry.type === 'directory';
}

function attributesOf({ mode, mtimeSeconds, mtimeNanos }: DirectoryEntry) {
  return { mode, mtimeSeconds, mtimeNanos };
}

function isLater(a: DirectoryEntry, b: DirectoryEntry): boolean {
  return a.mtimeSeconds === b.mtimeSeconds ? a.mtimeNanos > b.mtimeNanos : a.mtimeSeconds > b.mtimeSeconds;
}

function isEmpty(directory: DirectoryEntry): boolean {
  return sameBlob(directory.node, emptyDirectory(directory).node);
}
