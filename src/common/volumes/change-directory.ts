import { emptyLeaf, type NodeSource, nibbleOf, storedEntriesOf } from './directory.js';
import { type Blob, type DirectoryEntry, type Entry, weightOf } from './entry.js';
import { type Branch, type Child, encodeNode, fanOut, type Node, type StoredEntry, storedEntry } from './node-codec.js';

/** Where changed directories are put; what it returns stands at once, the bytes arrive at their store later. */
export interface NodeSink {
  store(bytes: Uint8Array): Promise<Blob>;
}

export type NodeStore = NodeSource & NodeSink;

/** Entries of that many bytes, and no more, are one leaf; others are a branch. Both ways, whatever was there before. */
const leafBytes = 131_072;

/** A node that was not stored yet, and what is in it. */
interface Draft {
  readonly node: Node;
  readonly size: number;
  readonly files: number;
  readonly bytes: number;
}

/** The directory after the changes; null removes a name. */
export async function changeDirectory(
  store: NodeStore,
  directory: DirectoryEntry,
  changes: ReadonlyMap<string, Entry | null>,
): Promise<DirectoryEntry> {
  if (changes.size === 0) return directory;
  const stored = new Map<string, StoredEntry | null>();
  for (const [name, entry] of changes) stored.set(name, entry === null ? null : storedEntry(name, entry));
  const draft = await changed(store, { node: await store.node(directory.node), depth: 0 }, stored);
  return { ...directory, ...(await storedAs(store, draft)) };
}

type StoredChanges = ReadonlyMap<string, StoredEntry | null>;

async function changed(
  store: NodeStore,
  { node, depth }: { readonly node: Node; readonly depth: number },
  changes: StoredChanges,
): Promise<Draft> {
  if (node.kind === 'branch') return await changedBranch(store, { node, depth }, changes);
  const entries = new Map(node.entries);
  for (const [name, entry] of changes) {
    if (entry === null) entries.delete(name);
    else entries.set(name, entry);
  }
  return await built(store, entries, depth);
}

async function changedBranch(
  store: NodeStore,
  { node, depth }: { readonly node: Branch; readonly depth: number },
  changes: StoredChanges,
): Promise<Draft> {
  const parts = split(changes, depth);
  const drafts = await Promise.all(
    parts.map(async (part, nibble) => {
      if (part.size === 0) return null;
      const child = node.children[nibble];
      const below = child == null ? emptyLeaf : await store.node(child.blob);
      return await changed(store, { node: below, depth: depth + 1 }, part);
    }),
  );
  const sizeOf = (nibble: number): number => drafts[nibble]?.size ?? node.children[nibble]?.size ?? 0;
  const size = parts.reduce((sum, _part, nibble) => sum + sizeOf(nibble), 0);
  if (size <= leafBytes) return await collapsed(store, node, drafts);
  const children = await Promise.all(
    drafts.map((draft, nibble) => (draft === null ? (node.children[nibble] ?? null) : childOf(store, draft))),
  );
  return branchOf(children);
}

/** What is left of a branch fits into one leaf. */
async function collapsed(store: NodeStore, branch: Branch, drafts: readonly (Draft | null)[]): Promise<Draft> {
  const entries = new Map<string, StoredEntry>();
  for (const [nibble, child] of branch.children.entries()) {
    const draft = drafts[nibble];
    const node = draft?.node ?? (child === null ? emptyLeaf : await store.node(child.blob));
    for await (const [name, entry] of storedEntriesOf(store, node)) entries.set(name, entry);
  }
  return leafOf(entries);
}

async function built(store: NodeSink, entries: ReadonlyMap<string, StoredEntry>, depth: number): Promise<Draft> {
  const leaf = leafOf(entries);
  if (leaf.size <= leafBytes || entries.size === 1) return leaf;
  const children = await Promise.all(
    split(entries, depth).map(async (part) =>
      part.size === 0 ? null : childOf(store, await built(store, part, depth + 1)),
    ),
  );
  return branchOf(children);
}

function leafOf(entries: ReadonlyMap<string, StoredEntry>): Draft {
  let [size, files, bytes] = [0, 0, 0];
  for (const { entry, raw } of entries.values()) {
    const weight = weightOf(entry);
    size += raw.length;
    files += weight.files;
    bytes += weight.bytes;
  }
  return { node: { kind: 'leaf', entries }, size, files, bytes };
}

function branchOf(children: readonly (Child | null)[]): Draft {
  const sum = (field: 'size' | 'files' | 'bytes'): number =>
    children.reduce((total, child) => total + (child?.[field] ?? 0), 0);
  return { node: { kind: 'branch', children }, size: sum('size'), files: sum('files'), bytes: sum('bytes') };
}

async function childOf(store: NodeSink, draft: Draft): Promise<Child | null> {
  if (draft.size === 0) return null;
  const { node, files, bytes } = await storedAs(store, draft);
  return { blob: node, size: draft.size, files, bytes };
}

async function storedAs(
  store: NodeSink,
  { node, files, bytes }: Draft,
): Promise<{ readonly node: Blob; readonly files: number; readonly bytes: number }> {
  return { node: await store.store(encodeNode(node)), files, bytes };
}

function split<T>(entries: ReadonlyMap<string, T>, depth: number): ReadonlyMap<string, T>[] {
  const parts = Array.from({ length: fanOut }, () => new Map<string, T>());
  for (const [name, entry] of entries) parts[nibbleOf(name, depth)]?.set(name, entry);
  return parts;
}
