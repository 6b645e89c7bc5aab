import { createHash } from 'node:crypto';
import { type Blob, type DirectoryEntry, type Entry, sameBlob } from './entry.js';
import { fanOut, type Leaf, type Node, type StoredEntry } from './node-codec.js';

/** Where directories are read from: verified, decoded, and kept for a while. */
export interface NodeSource {
  /** @throws Unavailable, Internal where it is not what was committed */
  node(blob: Blob): Promise<Node>;
}

export interface Difference {
  readonly name: string;
  readonly before: Entry | null;
  readonly after: Entry | null;
}

export const emptyLeaf: Leaf = { kind: 'leaf', entries: new Map() };

/** What a directory has under a name. */
export async function lookUp(source: NodeSource, { node: blob }: DirectoryEntry, name: string): Promise<Entry | null> {
  let node = await source.node(blob);
  for (let depth = 0; node.kind === 'branch'; depth++) {
    const child = node.children[nibbleOf(name, depth)];
    if (child == null) return null;
    node = await source.node(child.blob);
  }
  return node.entries.get(name)?.entry ?? null;
}

/** All entries, in an order that is the directory's own. */
export async function* entriesOf(
  source: NodeSource,
  { node }: DirectoryEntry,
): AsyncGenerator<readonly [string, Entry], void, undefined> {
  for await (const [name, { entry }] of storedEntriesOf(source, await source.node(node))) yield [name, entry];
}

export async function* storedEntriesOf(
  source: NodeSource,
  node: Node,
): AsyncGenerator<readonly [string, StoredEntry], void, undefined> {
  if (node.kind === 'leaf') {
    yield* node.entries;
    return;
  }
  for (const child of node.children) if (child !== null) yield* storedEntriesOf(source, await source.node(child.blob));
}

/** Entries that differ; parts that are equal are not read. Null: a directory that is not there. */
export async function* differencesOf(
  source: NodeSource,
  before: DirectoryEntry | null,
  after: DirectoryEntry | null,
): AsyncGenerator<Difference, void, undefined> {
  if (before !== null && after !== null && sameBlob(before.node, after.node)) return;
  const [a, b] = await Promise.all(
    [before, after].map((directory) => (directory === null ? emptyLeaf : source.node(directory.node))),
  );
  yield* nodeDifferences(source, { a: a as Node, b: b as Node }, 0);
}

async function* nodeDifferences(
  source: NodeSource,
  { a, b }: { readonly a: Node; readonly b: Node },
  depth: number,
): AsyncGenerator<Difference, void, undefined> {
  if (a.kind === 'leaf' && b.kind === 'leaf') {
    yield* leafDifferences(a, b);
    return;
  }
  for (let nibble = 0; nibble < fanOut; nibble++) {
    const [left, right] = [partOf(a, nibble, depth), partOf(b, nibble, depth)];
    if ('blob' in left && 'blob' in right && sameBlob(left.blob, right.blob)) continue;
    const [x, y] = await Promise.all(
      [left, right].map((part) => ('blob' in part ? source.node(part.blob) : Promise.resolve(part))),
    );
    yield* nodeDifferences(source, { a: x as Node, b: y as Node }, depth + 1);
  }
}

/** The sixteenth of a node that is for one nibble, as if it were a branch. */
function partOf(node: Node, nibble: number, depth: number): Node | { readonly blob: Blob } {
  if (node.kind === 'branch') return node.children[nibble] ?? emptyLeaf;
  const entries = [...node.entries].filter(([name]) => nibbleOf(name, depth) === nibble);
  return entries.length === 0 ? emptyLeaf : { kind: 'leaf', entries: new Map(entries) };
}

function* leafDifferences(a: Leaf, b: Leaf): Generator<Difference, void, undefined> {
  for (const [name, before] of a.entries) {
    const after = b.entries.get(name);
    if (after !== undefined && Buffer.compare(before.raw, after.raw) === 0) continue;
    yield { name, before: before.entry, after: after?.entry ?? null };
  }
  for (const [name, after] of b.entries) {
    if (!a.entries.has(name)) yield { name, before: null, after: after.entry };
  }
}

/** The next four bits of a name's hash. */
export function nibbleOf(name: string, depth: number): number {
  const byte = createHash('sha256').update(name, 'utf8').digest()[depth >> 1];
  if (byte === undefined) throw new RangeError(`a directory of depth ${depth}`);
  return depth % 2 === 0 ? byte >> 4 : byte & 0x0f;
}
