import type { MountNode, NodeTable } from './overlay-node.js';
import type { Outdated } from './overlay-rebase.js';

/** More nodes than these are let go, some at a time: each takes memory, and is made again when it is asked for. */
const mostKept = 300_000;
const mostAtOnce = 50_000;

/** Names that the kernel shall forget: the oldest that were not changed and have nothing below them. */
export function surplusNames(table: NodeTable): Outdated[] {
  const names: Outdated[] = [];
  const wanted = Math.min(mostAtOnce, table.size - mostKept);
  if (wanted <= 0) return names;
  for (const node of table.values()) {
    const { parent, name } = node;
    if (parent !== null && isSpare(node)) names.push({ parentId: parent.id, name });
    if (names.length >= wanted) break;
  }
  return names;
}

function isSpare(node: MountNode): boolean {
  if (node.parent?.changes.has(node.name) !== false) return false;
  return node.type !== 'directory' || node.children.size === 0;
}
