import { type FileNode, type MountNode, NodeTable } from './overlay-node.js';
import type { OverlayTree } from './overlay-tree.js';
import { refuse } from './refused.js';
import type { MountOwner } from './shown-node.js';

/** The trees that are mounted on a host, by the names of their folders. */
export class MountedTrees {
  readonly table = new NodeTable();
  readonly #byName = new Map<string, OverlayTree>();
  readonly #owners = new Map<OverlayTree, MountOwner>();

  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  add(name: string, tree: OverlayTree, owner: MountOwner): void {
    this.#byName.set(name, tree);
    this.#owners.set(tree, owner);
  }

  /** Whoever still has something of it open gets EIO from now on. */
  remove(name: string): void {
    const tree = this.#byName.get(name);
    if (tree === undefined) return;
    this.#byName.delete(name);
    this.#owners.delete(tree);
    // What the kernel remembers of it goes when it forgets it.
    tree.end();
  }

  rootOf(name: string): MountNode | null {
    return this.#byName.get(name)?.root ?? null;
  }

  /** @throws Refused EIO where it is mounted no more */
  ownerOf(tree: OverlayTree): MountOwner {
    return this.#owners.get(tree) ?? refuse('EIO');
  }

  /** @throws Refused ENOSPC */
  checkRoom({ tree, content }: FileNode, offset: number, length: number): void {
    const { maxBytes } = this.ownerOf(tree);
    if (maxBytes !== null && tree.bytes + content.growthBy(offset, length) > maxBytes) refuse('ENOSPC');
  }

  /** Null: it has no limit of its own. */
  spaceOf(tree: OverlayTree): { readonly totalBytes: number; readonly freeBytes: number } | null {
    const { maxBytes } = this.ownerOf(tree);
    if (maxBytes === null) return null;
    return { totalBytes: maxBytes, freeBytes: Math.max(0, maxBytes - tree.bytes) };
  }
}
