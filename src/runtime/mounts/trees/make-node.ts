import { constants } from 'node:fs';
import { typeBits } from '../overlay/shown-node.js';
import { Refused, refuse } from '../refused.js';
import type { FileTree, NamePlace, TreeNode } from './file-tree.js';

/** @param mode with the type, as the kernel has it */
export type Maker = (tree: FileTree, at: NamePlace<TreeNode>, mode: number) => Promise<TreeNode>;

const typeMask = 0o170000;

export const makeDirectory: Maker = (tree, at, mode) => tree.makeDirectory(at, mode & ~typeMask);

/** Nobody has it open then: it is whole. */
export const makeFile: Maker = async (tree, at, mode) => {
  if ((mode & typeMask) !== typeBits.file) refuse('EPERM');
  const file = await tree.makeFile(at, mode & ~typeMask);
  await tree.open(file);
  await tree.flush(file).finally(() => tree.release(file));
  return file;
};

const createAttempts = 10;

/** The file of that name, made where there is none, and opened. @param how flags of open(2), and the mode of a new one */
export async function createFile(
  tree: FileTree,
  at: NamePlace<TreeNode>,
  { flags, mode }: { readonly flags: number; readonly mode: number },
): Promise<TreeNode> {
  const mustBeNew = (flags & constants.O_EXCL) !== 0;
  for (let attempt = 1; ; attempt++) {
    try {
      // Somebody else may have made it since the kernel was told that it is not there.
      const before = await tree.find(at.directory, at.name);
      if (before !== null && mustBeNew) refuse('EEXIST');
      if (before !== null && before.type !== 'file') refuse('EISDIR');
      const file = before ?? (await tree.makeFile(at, mode & ~typeMask));
      return await opened(tree, file, before !== null && (flags & constants.O_TRUNC) !== 0);
    } catch (error) {
      // Or just then.
      const isThere = error instanceof Refused && error.code === 'EEXIST' && !mustBeNew;
      if (!isThere || attempt === createAttempts) throw error;
    }
  }
}

async function opened(tree: FileTree, file: TreeNode, isCut: boolean): Promise<TreeNode> {
  await tree.open(file);
  try {
    if (isCut) await tree.change(file, { size: 0 });
    return file;
  } catch (error) {
    await tree.release(file);
    throw error;
  }
}
