import type { Attributes, DirectoryEntry, Entry, SymlinkEntry } from '../../../common/volumes/entry.js';
import type { ChangedNames, NameCount } from '../changed-names.js';
import type { FileContent } from '../content/file-content.js';
import type { OverlayTree } from './overlay-tree.js';

/** Something in a mount that the kernel knows of, or that was changed here. */
export type MountNode = FileNode | DirectoryNode | SymlinkNode;

interface CommonNode {
  /** The kernel's name for it; never used again. */
  readonly id: number;
  readonly tree: OverlayTree;
  /** Null: the root, or what has no name any more. */
  parent: DirectoryNode | null;
  name: string;
  attributes: Attributes;
  ctimeMs: number;
  /** How often the kernel was told of it, less how often it forgot. */
  lookups: number;
  /** Of its attributes and bytes; what is in a directory is counted by its changes. */
  version: number;
}

export interface FileNode extends CommonNode {
  readonly type: 'file';
  readonly content: FileContent;
  /** What the tree counts for it. */
  countedBytes: number;
}

export interface SymlinkNode extends CommonNode {
  readonly type: 'symlink';
  readonly target: string;
}

export interface DirectoryNode extends CommonNode {
  readonly type: 'directory';
  /** What was committed of it; an empty one where it is new. */
  base: DirectoryEntry;
  /** Its own attributes were changed. */
  isMarked: boolean;
  /** Nodes that are known, by name. */
  readonly children: Map<string, MountNode>;
  readonly changes: ChangedNames;
}

/** Each is some 500 bytes of the heap, and what the kernel knows of is a node. */
const mostNodes = 1_500_000;
const mostNames = 1_500_000;

/** By the id that the kernel has for them: those of all mounts of a host, and the names that are changed in them. */
export class NodeTable implements NameCount {
  readonly #nodes = new Map<number, MountNode>();
  #names = 0;
  /** 1 is the folder of all mounts. */
  #last = 1;

  nextId(): number {
    this.#last += 1;
    return this.#last;
  }

  get(id: number): MountNode | null {
    return this.#nodes.get(id) ?? null;
  }

  put(node: MountNode): void {
    this.#nodes.set(node.id, node);
  }

  remove(node: MountNode): void {
    this.#nodes.delete(node.id);
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** One mount must not take the memory of all others. */
  get isFull(): boolean {
    return this.#nodes.size >= mostNodes || this.#names >= mostNames;
  }

  add(names: number): void {
    this.#names += names;
  }

  /** Oldest first. */
  values(): IterableIterator<MountNode> {
    return this.#nodes.values();
  }
}

export function attributesOf({ mode, mtimeSeconds, mtimeNanos }: Attributes): Attributes {
  return { mode, mtimeSeconds, mtimeNanos };
}

/** What a directory's entry says of it, but for what it is. */
export function symlinkEntry({ attributes, target }: SymlinkNode): SymlinkEntry {
  return { type: 'symlink', ...attributes, target };
}

export function isDirectory(entry: Entry | null): entry is DirectoryEntry {
  return entry?.type === 'directory';
}

/** Where a node is made. */
export interface Place {
  readonly parent: DirectoryNode | null;
  readonly name: string;
}

/** Whether something was put into it here. */
export function hasChild({ changes }: DirectoryNode): boolean {
  for (const node of changes.values()) if (node !== null) return true;
  return false;
}

/** It was removed: nothing can be put into it. */
export function isGone(directory: DirectoryNode): boolean {
  return directory.parent === null && directory.tree.root !== directory;
}
