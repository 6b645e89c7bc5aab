import type { LocalBudget } from '../content/local-budget.js';
import type { ShownAttributes } from '../fuse/replies.js';
import type { MountNode } from './overlay-node.js';

export const rootId = 1;
export const typeBits = { file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const;

/** Whose files they are shown as, and what may be done with them. */
export interface MountOwner {
  /** A user of the host; his group has the same number. */
  readonly uid: number;
  readonly isReadOnly: boolean;
  /** What the volume may hold; null: no limit. */
  readonly maxBytes: number | null;
  /** What his mounts may keep on this host. */
  readonly budget: LocalBudget;
}

/** The folder of all mounts: each is entered by its name only. */
export const hostRoot: ShownAttributes = {
  ino: rootId,
  mode: typeBits.directory | 0o711,
  size: 0,
  bytes: 0,
  uid: 0,
  mtimeSeconds: 0,
  mtimeNanos: 0,
  ctimeMs: 0,
};

export function shownNode(node: MountNode, { uid }: MountOwner): ShownAttributes {
  const { mode, mtimeSeconds, mtimeNanos } = node.attributes;
  const { size, bytes } = sizesOf(node);
  return {
    ino: node.id,
    mode: typeBits[node.type] | mode,
    ...{ size, bytes, uid, mtimeSeconds, mtimeNanos, ctimeMs: node.ctimeMs },
  };
}

function sizesOf(node: MountNode): { readonly size: number; readonly bytes: number } {
  switch (node.type) {
    case 'file':
      return { size: node.content.size, bytes: node.content.bytes };
    case 'symlink':
      return { size: Buffer.byteLength(node.target, 'utf8'), bytes: 0 };
    case 'directory':
      return { size: 0, bytes: 0 };
    default:
      return node satisfies never;
  }
}
