import { type BucketObject, maxCopyBytes } from '../../../common/ports/bucket.js';
import { inParallel } from '../../../common/volumes/in-parallel.js';
import { refuse } from '../refused.js';
import { type BucketNode, inTurns, parentOf } from './bucket-node.js';
import type { BucketTree } from './bucket-tree.js';

interface NewPlace {
  readonly path: string;
  /** What is there, and is replaced. */
  readonly target: BucketNode | null;
  /** What is renamed and the folder of the new place are where they were when this was asked for. */
  readonly isStill: () => boolean;
}

/** More objects are left to programs that move: they copy and delete themselves when they hear that it is another device. */
const maxMoved = 10_000;
const pageKeys = 1_000;
const copiesAtOnce = 16;

/** A bucket cannot rename: a copy, then the old one goes. What breaks off between has both. */
export async function renameFile(tree: BucketTree, node: BucketNode, to: NewPlace): Promise<void> {
  const { parts, nodes } = tree;
  const { path, target } = to;
  await inTurns(target === null ? [node] : [node, target], async () => {
    checkStill(to);
    await tree.uploadNow(node);
    const object = (await nodes.objectOf(node)) ?? refuse('ENOENT');
    if (object.size > maxCopyBytes) refuse('EXDEV');
    if (!(await parts.bucket.copy(object, nodes.key(path)))) refuse('ESTALE');
    await tree.folders.keep(parentOf(node.path));
    await parts.bucket.delete(object.key);
    if (target !== null) tree.gone(target);
    moved(tree, node, path);
  });
}

/** All copies are made before the first old object goes. Whoever closes a file in it meanwhile uploads it to its new place. */
export async function renameDirectory(tree: BucketTree, node: BucketNode, to: NewPlace): Promise<void> {
  const { nodes } = tree;
  await nodes.whileMoving(node.path, async () => {
    const known = [...nodes.below(node.path), node, ...(to.target === null ? [] : [to.target])];
    await inTurns(known, () => {
      checkStill(to);
      return moveDirectory(tree, node, to);
    });
  });
}

async function moveDirectory(tree: BucketTree, node: BucketNode, { path, target }: NewPlace): Promise<void> {
  const { parts, nodes } = tree;
  const from = nodes.folderKey(node.path);
  for (const one of nodes.below(node.path)) await tree.uploadNow(one);
  const objects: BucketObject[] = [];
  for (let after: string | null = null; ; ) {
    const page = await parts.bucket.list({ prefix: from, inFolders: false, limit: pageKeys, after });
    objects.push(...page.objects);
    if (objects.length > maxMoved || page.objects.some(({ size }) => size > maxCopyBytes)) refuse('EXDEV');
    after = page.next;
    if (after === null) break;
  }
  await inParallel(objects, copiesAtOnce, async (object) => {
    const copied = await parts.bucket.copy(object, `${nodes.folderKey(path)}${object.key.slice(from.length)}`);
    if (!copied) refuse('ESTALE');
  });
  await tree.folders.keep(parentOf(node.path));
  await inParallel(objects, copiesAtOnce, ({ key }) => parts.bucket.delete(key));
  if (target !== null) tree.gone(target);
  for (const one of nodes.below(node.path)) moved(tree, one, `${path}${one.path.slice(node.path.length)}`);
  moved(tree, node, path);
}

/** The kernel looks up anew and asks again. */
function checkStill({ isStill }: NewPlace): void {
  if (!isStill()) refuse('ESTALE');
}

function moved({ nodes }: BucketTree, node: BucketNode, path: string): void {
  for (const one of [node.path, path]) nodes.unhear(one);
  nodes.move(node, path);
}
