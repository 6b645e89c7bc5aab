import { changeDirectory, type NodeStore } from './change-directory.js';
import { emptyLeaf, lookUp, type NodeSource } from './directory.js';
import type { Attributes, DirectoryEntry, Entry } from './entry.js';
import { encodeNode } from './node-codec.js';
import type { Path } from './paths.js';

/** What becomes of one name. */
export type Change =
  /** It is this from now on, whatever was there. */
  { readonly kind: 'put'; readonly entry: Entry } | { readonly kind: 'delete' } | DirectoryChange;

/** It is a directory, with changes in it. */
export interface DirectoryChange {
  readonly kind: 'directory';
  /** Null: as they are. */
  readonly attributes: Attributes | null;
  /** Of one that was not there. */
  readonly whenNew: Attributes;
  /** Of what was there nothing stays. */
  readonly isFresh: boolean;
  readonly changes: ReadonlyMap<string, Change>;
}

export function emptyDirectory({ mode, mtimeSeconds, mtimeNanos }: Attributes): DirectoryEntry {
  return {
    type: 'directory',
    ...{ mode, mtimeSeconds, mtimeNanos },
    node: { inline: encodeNode(emptyLeaf) },
    files: 0,
    bytes: 0,
  };
}

/** What is at a path; null where nothing is. Symbolic links are not followed. */
export async function find(source: NodeSource, root: DirectoryEntry, path: Path): Promise<Entry | null> {
  let entry: Entry | null = root;
  for (const name of path) {
    if (entry?.type !== 'directory') return null;
    entry = await lookUp(source, entry, name);
  }
  return entry;
}

/** The tree after the changes; only directories on the way to one are read and written. */
export async function changeTree(
  store: NodeStore,
  directory: DirectoryEntry,
  changes: ReadonlyMap<string, Change>,
): Promise<DirectoryEntry> {
  const entries = new Map<string, Entry | null>();
  for (const [name, change] of changes) {
    entries.set(name, await changedEntry(store, () => lookUp(store, directory, name), change));
  }
  return await changeDirectory(store, directory, entries);
}

/**
 * Changes at paths below the root, as one; of two at a path the later counts.
 *
 * @param whenNew of directories that are missing on the way
 */
export function changesAt(
  changes: Iterable<readonly [Path, Change]>,
  whenNew: Attributes,
): ReadonlyMap<string, Change> {
  const root = new Map<string, Change>();
  const own = new Set<ReadonlyMap<string, Change>>([root]);
  for (const [path, change] of changes) {
    let level = root;
    for (const name of path.slice(0, -1)) level = levelBelow(level, name, { whenNew, own });
    const name = path.at(-1);
    if (name === undefined) throw new RangeError('the root of a tree has no name to change');
    level.set(name, change);
  }
  return root;
}

/**
 * Where changes below a name are gathered. What was to be put or deleted there makes room for a fresh directory.
 *
 * @param of.own maps that were made here: others are copied before something is put into them
 */
function levelBelow(
  level: Map<string, Change>,
  name: string,
  { whenNew, own }: { readonly whenNew: Attributes; readonly own: Set<ReadonlyMap<string, Change>> },
): Map<string, Change> {
  const known = level.get(name);
  if (known?.kind === 'directory' && own.has(known.changes)) return known.changes as Map<string, Change>;
  const isFresh = known === undefined ? false : known.kind === 'directory' ? known.isFresh : true;
  const changes = new Map(known?.kind === 'directory' ? known.changes : []);
  own.add(changes);
  const attributes = known?.kind === 'directory' ? known.attributes : null;
  level.set(name, { kind: 'directory', attributes, whenNew, isFresh, changes });
  return changes;
}

async function changedEntry(
  store: NodeStore,
  before: () => Promise<Entry | null>,
  change: Change,
): Promise<Entry | null> {
  switch (change.kind) {
    case 'put':
      return change.entry;
    case 'delete':
      return null;
    case 'directory': {
      const known = change.isFresh ? null : await before();
      const base = known?.type === 'directory' ? known : emptyDirectory(change.whenNew);
      return await changeTree(store, { ...base, ...change.attributes }, change.changes);
    }
    default:
      return change satisfies never;
  }
}
