import type { ShownAttributes } from '../fuse/replies.js';
import { typeBits } from '../overlay/shown-node.js';
import type { FileTree, TreeNode } from './file-tree.js';

/** A tree that is mounted. */
export interface MountedTree {
  readonly name: string;
  readonly tree: FileTree;
  /** The user of the host whose files they are. */
  readonly uid: number;
  readonly isReadOnly: boolean;
}

/** A node that the kernel knows of. */
export interface KnownNode {
  readonly id: number;
  readonly mounted: MountedTree;
  readonly node: TreeNode;
  lookups: number;
}

/** 1 is the folder of all mounts. */
const rootId = 1;

/** Mounted trees by the names of their folders, and their nodes by the kernel's numbers, which are never used again. */
export class TreeTable {
  readonly #mounted = new Map<string, KnownNode>();
  readonly #byId = new Map<number, KnownNode>();
  readonly #byNode = new Map<TreeNode, KnownNode>();
  #last = rootId;

  get names(): readonly string[] {
    return [...this.#mounted.keys()];
  }

  add(mounted: MountedTree): void {
    this.#mounted.set(mounted.name, this.of(mounted, mounted.tree.root));
  }

  /** What the kernel remembers of it gives errors from now on. */
  remove(name: string): MountedTree | null {
    const root = this.#mounted.get(name);
    if (root === undefined) return null;
    this.#mounted.delete(name);
    for (const known of [...this.#byId.values()]) if (known.mounted === root.mounted) this.#drop(known);
    return root.mounted;
  }

  rootOf(name: string): KnownNode | null {
    return this.#mounted.get(name) ?? null;
  }

  get(id: number): KnownNode | null {
    return this.#byId.get(id) ?? null;
  }

  of(mounted: MountedTree, node: TreeNode): KnownNode {
    const before = this.#byNode.get(node);
    if (before !== undefined) return before;
    this.#last += 1;
    const known = { id: this.#last, mounted, node, lookups: 0 };
    this.#byId.set(known.id, known);
    this.#byNode.set(node, known);
    return known;
  }

  forget(id: number, lookups: number): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    known.lookups -= lookups;
    if (known.lookups > 0 || known.node === known.mounted.tree.root) return;
    this.#drop(known);
    known.mounted.tree.forgotten(known.node);
  }

  #drop(known: KnownNode): void {
    this.#byId.delete(known.id);
    this.#byNode.delete(known.node);
  }
}

/** Of what others change the kernel believes nothing; elsewhere a second saves asking many times for one thing. */
export function secondsOf({ mounted }: KnownNode): number {
  return mounted.tree.isLive ? 0 : 1;
}

export async function shownOf({ id, mounted, node }: KnownNode): Promise<ShownAttributes> {
  const facts = await mounted.tree.facts(node);
  return { ...facts, ino: id, uid: mounted.uid, mode: typeBits[node.type] | facts.mode };
}
