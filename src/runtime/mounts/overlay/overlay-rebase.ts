import { type Difference, differencesOf, lookUp } from '../../../common/volumes/directory.js';
import { type DirectoryEntry, sameBlob } from '../../../common/volumes/entry.js';
import { emptyDirectory } from '../../../common/volumes/tree.js';
import { type Contest, contestOf, type Graft } from './overlay-graft.js';
import { attributesOf, type DirectoryNode, isDirectory, type MountNode } from './overlay-node.js';
import type { OverlayTree } from './overlay-tree.js';

/** What the kernel may remember wrongly now: a name, or the attributes of a directory. */
export type Outdated = { readonly parentId: number; readonly name: string } | { readonly nodeId: number };

/** A directory that is known, and what becomes of it. */
interface Step {
  readonly directory: DirectoryNode;
  readonly base: DirectoryEntry;
  /** Of names that were not changed here. */
  readonly differences: readonly Difference[];
  readonly contests: readonly Contest[];
}

/**
 * Puts a tree on another base: what is not known of it is read when it is asked for. Names that were changed here stay as they
 * are here, with what others have put into such directories: the next commit would take that away, and nobody has removed it.
 * What differs gets a node of its own, so that whoever has the old one open goes on with that.
 */
export async function rebase(tree: OverlayTree, base: DirectoryEntry): Promise<Outdated[]> {
  return await tree.gate.alone(async () => {
    const steps = await stepsOf(tree.root, base);
    tree.countBytes(base.bytes - tree.root.base.bytes);
    return steps.flatMap((step) => applied(tree, step));
  });
}

async function stepsOf(directory: DirectoryNode, base: DirectoryEntry): Promise<Step[]> {
  const differences: Difference[] = [];
  const contests: Contest[] = [];
  const steps: Step[] = [{ directory, base, differences, contests }];
  if (sameBlob(directory.base.node, base.node)) return steps;
  for await (const difference of differencesOf(directory.tree.parts.source, directory.base, base)) {
    const known = directory.children.get(difference.name);
    const below = known?.type === 'directory' ? baseBelow(directory, known, difference) : null;
    if (known?.type === 'directory' && below !== null) steps.push(...(await stepsOf(known, below)));
    else if (directory.changes.has(difference.name)) contests.push(await contestOf(directory, difference));
    else differences.push(difference);
  }
  return steps;
}

/** What becomes the base of a directory in it; null: it is another one now, or was another one here. */
function baseBelow(
  { changes }: DirectoryNode,
  known: DirectoryNode,
  { before, after }: Difference,
): DirectoryEntry | null {
  if (!isDirectory(before) || !sameBlob(before.node, known.base.node)) return null;
  if (isDirectory(after)) return after;
  // They removed it, and here something in it was changed: of the rest nothing comes back.
  return changes.get(known.name) === known ? emptyDirectory(before) : null;
}

function applied(tree: OverlayTree, { directory, base, differences, contests }: Step): Outdated[] {
  const outdated: Outdated[] = [];
  for (const { name } of differences) {
    outdated.push({ parentId: directory.id, name });
    const known = directory.children.get(name);
    if (known !== undefined) tree.detach(known);
  }
  for (const { name, standing } of contests) {
    if (standing === 'theirs') {
      directory.changes.delete(name);
      outdated.push({ parentId: directory.id, name });
    } else outdated.push(...grafted(directory, standing));
  }
  directory.base = base;
  if (!directory.isMarked) {
    directory.attributes = attributesOf(base);
    outdated.push({ nodeId: directory.id });
  }
  return outdated;
}

/** What it holds was counted with the new base. */
function grafted(directory: DirectoryNode, grafts: readonly Graft[]): Outdated[] {
  const outdated: Outdated[] = [];
  for (const graft of grafts) {
    if ('into' in graft) {
      outdated.push(...grafted(graft.into, graft.below));
      continue;
    }
    outdated.push({ parentId: directory.id, name: graft.name });
    const isWhole = 'entry' in graft;
    const node = directory.tree.adopt(directory, graft.name, isWhole ? graft.entry : graft.anew);
    if (!isWhole && node.type === 'directory') outdated.push(...grafted(node, graft.below));
  }
  return outdated;
}

/** Forgets what was changed since the last commit. */
export async function discardChanges(tree: OverlayTree): Promise<Outdated[]> {
  return await tree.gate.alone(async () => {
    const kept = await unmoved(tree.root);
    const outdated = [...kept].flatMap((directory) => discarded(tree, directory, kept));
    tree.countBytes(tree.root.base.bytes - tree.bytes);
    return outdated;
  });
}

/** Directories with changes in them that are where they were. */
async function unmoved(directory: DirectoryNode): Promise<Set<DirectoryNode>> {
  const found = new Set([directory]);
  for (const [name, node] of directory.changes) {
    if (node?.type !== 'directory') continue;
    const entry = await lookUp(directory.tree.parts.source, directory.base, name);
    if (!isDirectory(entry) || !sameBlob(entry.node, node.base.node)) continue;
    for (const below of await unmoved(node)) found.add(below);
  }
  return found;
}

function discarded(tree: OverlayTree, directory: DirectoryNode, kept: ReadonlySet<MountNode>): Outdated[] {
  const outdated: Outdated[] = [];
  for (const [name, node] of [...directory.changes]) {
    directory.changes.delete(name);
    if (node !== null && kept.has(node)) continue;
    outdated.push({ parentId: directory.id, name });
    // Also one that is only somewhere else than before: it comes back where it was.
    if (node !== null) tree.detach(node);
  }
  directory.isMarked = false;
  directory.attributes = attributesOf(directory.base);
  outdated.push({ nodeId: directory.id });
  return outdated;
}
