import { differencesOf, type NodeSource } from './directory.js';
import { type DirectoryEntry, type Entry, sameContent } from './entry.js';
import { type Path, showPath } from './paths.js';

/** What two trees differ in; times alone are no difference. */
export interface PathChange {
  readonly path: string;
  readonly change: 'added' | 'modified' | 'deleted';
}

/** Every path that differs, a directory before what is in it. */
export async function* diffTrees(
  source: NodeSource,
  before: DirectoryEntry,
  after: DirectoryEntry,
): AsyncGenerator<PathChange, void, undefined> {
  yield* diffAt(source, [], { before, after });
}

interface Sides {
  readonly before: DirectoryEntry | null;
  readonly after: DirectoryEntry | null;
}

async function* diffAt(source: NodeSource, path: Path, sides: Sides): AsyncGenerator<PathChange, void, undefined> {
  for await (const { name, before, after } of differencesOf(source, sides.before, sides.after)) {
    const at = [...path, name];
    const change = changeOf(before, after);
    if (change !== null) yield { path: showPath(at), change };
    if (before?.type === 'directory' || after?.type === 'directory')
      yield* diffAt(source, at, { before: asDirectory(before), after: asDirectory(after) });
  }
}

function changeOf(before: Entry | null, after: Entry | null): PathChange['change'] | null {
  if (before === null) return 'added';
  if (after === null) return 'deleted';
  if (before.type === 'directory' && after.type === 'directory') return before.mode === after.mode ? null : 'modified';
  return sameContent(before, after) ? null : 'modified';
}

function asDirectory(entry: Entry | null): DirectoryEntry | null {
  return entry?.type === 'directory' ? entry : null;
}
