import { type Difference, differencesOf, type NodeSource } from '../../../common/volumes/directory.js';
import type { DirectoryEntry, Entry } from '../../../common/volumes/entry.js';
import { emptyDirectory } from '../../../common/volumes/tree.js';
import { type DirectoryNode, isDirectory } from './overlay-node.js';

/** Something that others have put where a directory was removed, made or replaced here: as in a merge, it stays. */
export type Graft =
  | { readonly name: string; readonly entry: Entry }
  /** In a directory that is here. */
  | { readonly into: DirectoryNode; readonly below: readonly Graft[] }
  /** In one that was removed here. */
  | { readonly name: string; readonly anew: DirectoryEntry; readonly below: readonly Graft[] };

/**
 * What becomes of a name that was changed here, where others have changed it, too: `theirs` where nothing is left of the change
 * that was made here, else what is added to it.
 */
export type Contest = { readonly name: string; readonly standing: 'theirs' | readonly Graft[] };

/** Cost: what they have changed, below that name. */
export async function contestOf(directory: DirectoryNode, difference: Difference): Promise<Contest> {
  const { name, before, after } = difference;
  const mine = directory.changes.get(name) ?? null;
  // Something was made and removed here, or what is another thing now: nobody has removed theirs.
  if (mine === null && (before === null || (isDirectory(after) && !isDirectory(before))))
    return { name, standing: 'theirs' };
  if (!isDirectory(after) || (mine !== null && mine.type !== 'directory')) return { name, standing: [] };
  const graft = await graftAt({ name, before, after }, mine, directory.tree.parts.source);
  return { name, standing: graft === null ? [] : [graft] };
}

async function graftAt(
  { name, before, after }: Difference,
  mine: DirectoryNode | null,
  source: NodeSource,
): Promise<Graft | null> {
  if (!isDirectory(after)) return null;
  const start = isDirectory(before) ? before : null;
  const below: Graft[] = [];
  for await (const difference of differencesOf(source, start, after)) {
    const graft = await graftIn(difference, mine, source);
    if (graft !== null) below.push(graft);
  }
  if (below.length === 0) return null;
  return mine === null ? { name, anew: emptyDirectory(after), below } : { into: mine, below };
}

async function graftIn(
  difference: Difference,
  directory: DirectoryNode | null,
  source: NodeSource,
): Promise<Graft | null> {
  const { name, before, after } = difference;
  const mine = directory === null ? null : await directory.tree.lookUp(directory, name);
  if (after === null || (mine !== null && mine.type !== 'directory')) return null;
  if (mine === null && (before === null || (isDirectory(after) && !isDirectory(before)))) return { name, entry: after };
  return await graftAt(difference, mine, source);
}
