import { changeDirectory } from '../../../common/volumes/change-directory.js';
import type { TreeBuilder } from '../../../common/volumes/commit.js';
import type { Attributes, DirectoryEntry, Entry, SymlinkEntry } from '../../../common/volumes/entry.js';
import { type ContentSnapshot, storeSnapshot } from '../content/content-snapshot.js';
import { type DirectoryNode, type FileNode, type MountNode, type SymlinkNode, symlinkEntry } from './overlay-node.js';

/** What was changed, at one moment. */
export type Snapshot = FileSnapshot | SymlinkSnapshot | DirectorySnapshot;

interface FileSnapshot {
  readonly type: 'file';
  readonly node: FileNode;
  readonly version: number;
  readonly attributes: Attributes;
  readonly content: ContentSnapshot;
}

interface SymlinkSnapshot {
  readonly type: 'symlink';
  readonly node: SymlinkNode;
  readonly version: number;
  readonly entry: SymlinkEntry;
}

export interface DirectorySnapshot {
  readonly type: 'directory';
  readonly node: DirectoryNode;
  readonly version: number;
  readonly attributes: Attributes;
  readonly base: DirectoryEntry;
  readonly changes: ReadonlyMap<string, Snapshot | null>;
  /** What it was stored as. */
  stored: DirectoryEntry | null;
}

/** In one step; costs what was changed. The bytes in it stay as they are until it is settled or dropped. */
export function takeSnapshot(root: DirectoryNode): DirectorySnapshot {
  const { version, attributes, base } = root;
  const changes = new Map<string, Snapshot | null>();
  for (const [name, node] of root.changes) changes.set(name, node === null ? null : snapshotOf(node));
  return { type: 'directory', node: root, version, attributes, base, changes, stored: null };
}

function snapshotOf(node: MountNode): Snapshot {
  const { version, attributes } = node;
  switch (node.type) {
    case 'file':
      return { type: 'file', node, version, attributes, content: node.content.snapshot() };
    case 'symlink':
      return { type: 'symlink', node, version, entry: symlinkEntry(node) };
    case 'directory':
      return takeSnapshot(node);
    default:
      return node satisfies never;
  }
}

/** The tree with what was changed in it; its objects go up. */
export async function storeTree(builder: TreeBuilder, snapshot: DirectorySnapshot): Promise<DirectoryEntry> {
  const entries = new Map<string, Entry | null>();
  for (const [name, change] of snapshot.changes) {
    entries.set(name, change === null ? null : await storedEntry(builder, change));
  }
  const changed = await changeDirectory(builder, snapshot.base, entries);
  snapshot.stored = { ...changed, ...snapshot.attributes };
  return snapshot.stored;
}

async function storedEntry(builder: TreeBuilder, snapshot: Snapshot): Promise<Entry> {
  switch (snapshot.type) {
    case 'file': {
      const stored = await storeSnapshot(builder.uploads, snapshot.content);
      return { type: 'file', ...snapshot.attributes, size: stored.size, content: stored.content };
    }
    case 'symlink':
      return snapshot.entry;
    case 'directory':
      return await storeTree(builder, snapshot);
    default:
      return snapshot satisfies never;
  }
}

/** It was published: the tree stands on it now, with what was changed since. */
export function settle(snapshot: DirectorySnapshot): void {
  const { node, changes, stored, version } = snapshot;
  if (stored === null) return;
  node.base = stored;
  if (node.version === version) node.isMarked = false;
  for (const [name, change] of changes) {
    if (change?.type === 'file') {
      change.node.content.settle(change.content);
      // Chunks that were all zeros are holes now.
      node.tree.count(change.node);
    }
    if (change?.type === 'directory') settle(change);
    if (isAsStored(node, name, change)) node.changes.delete(name);
    if (change !== null) change.node.tree.drop(change.node);
  }
}

/** Whether nothing was done to that name since. */
function isAsStored({ changes }: DirectoryNode, name: string, change: Snapshot | null): boolean {
  const now = changes.get(name);
  if (change === null) return now === null;
  if (now !== change.node || now.version !== change.version) return false;
  return now.type !== 'directory' || now.changes.size === 0;
}

/** It was not published. */
export function drop({ changes }: DirectorySnapshot): void {
  for (const change of changes.values()) {
    if (change?.type === 'file') change.node.content.drop(change.content);
    if (change?.type === 'directory') drop(change);
  }
}
