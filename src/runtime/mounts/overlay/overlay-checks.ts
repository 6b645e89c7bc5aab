import { refuse } from '../refused.js';
import { type DirectoryNode, hasChild, type MountNode } from './overlay-node.js';

/** Whether nothing is in it, here or in its base. */
export async function isEmpty(directory: DirectoryNode): Promise<boolean> {
  if (hasChild(directory)) return false;
  for await (const _ of directory.tree.list(directory)) return false;
  return true;
}

/** Whether a rename may put one in the place of another. @throws Refused ENOTDIR, EISDIR, ENOTEMPTY */
export async function checkReplaceable(node: MountNode, target: MountNode): Promise<void> {
  if (node.type === 'directory' && target.type !== 'directory') refuse('ENOTDIR');
  if (node.type !== 'directory' && target.type === 'directory') refuse('EISDIR');
  if (target.type !== 'directory') return;
  if (!(await isEmpty(target)) || hasChild(target)) refuse('ENOTEMPTY');
}
