import { HoldfastError } from '../../common/errors.js';
import type { Growth } from './content/content-growth.js';
import { type DirectoryNode, type FileNode, type MountNode, NodeTable } from './overlay/overlay-node.js';
import type { OverlayTree } from './overlay/overlay-tree.js';
import { type MountOwner, rootId } from './overlay/shown-node.js';
import { refuse } from './refused.js';

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

  /** The kernel names only what it was told of and has not forgotten. */
  node(nodeId: number): MountNode {
    const node = this.table.get(nodeId);
    if (node !== null) return node;
    throw new HoldfastError('Internal', `the kernel asks for node ${nodeId} of the mounts, which it has forgotten`);
  }

  changeable(nodeId: number): MountNode {
    // Mounts come and go by the worker's word only.
    if (nodeId === rootId) refuse('EROFS');
    const node = this.node(nodeId);
    if (this.ownerOf(node.tree).isReadOnly) refuse('EROFS');
    return node;
  }

  directory(nodeId: number): DirectoryNode {
    return this.folder(nodeId) ?? refuse('ENOTDIR');
  }

  /** Null: the folder of all mounts. */
  folder(nodeId: number): DirectoryNode | null {
    if (nodeId === rootId) return null;
    const node = this.node(nodeId);
    return node.type === 'directory' ? node : refuse('ENOTDIR');
  }

  /** @throws Refused ENOSPC */
  checkRoom(file: FileNode, offset: number, length: number): void {
    this.#check(file, file.content.growthBy(offset, length));
  }

  /** @throws Refused ENOSPC */
  checkCut(file: FileNode, size: number): void {
    this.#check(file, file.content.growthByCut(size));
  }

  /** What can be written is what the volume and this host have room for. */
  spaceOf(tree: OverlayTree): { readonly totalBytes: number; readonly freeBytes: number } {
    const { maxBytes, budget } = this.ownerOf(tree);
    const left = maxBytes === null ? Number.POSITIVE_INFINITY : Math.max(0, maxBytes - tree.bytes);
    const freeBytes = Math.min(left, budget.freeBytes);
    return { totalBytes: maxBytes ?? tree.bytes + freeBytes, freeBytes };
  }

  #check({ tree }: FileNode, { counted, local }: Growth): void {
    const { maxBytes, budget } = this.ownerOf(tree);
    if (maxBytes !== null && counted > 0 && tree.bytes + counted > maxBytes) refuse('ENOSPC');
    if (local > budget.freeBytes) refuse('ENOSPC');
  }
}
