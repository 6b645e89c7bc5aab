import { chunksOf } from './content.js';
import type { Blob, FileEntry, Hash } from './entry.js';
import { HashMarks } from './hash-marks.js';
import { inParallel } from './in-parallel.js';
import type { Node } from './node-codec.js';
import type { ObjectReader } from './object-reader.js';

const readAtOnce = 16;

/**
 * Every object that trees consist of; what two of them share is looked at once. What cannot be read fails it: nobody may take
 * for garbage what was not reached.
 *
 * @throws Unavailable, Internal
 */
export async function markReachable(reader: ObjectReader, roots: Iterable<Hash>): Promise<HashMarks> {
  const on: Marking = { reader, marks: new HashMarks(), nodes: new HashMarks(), lists: new HashMarks(), below: [] };
  for (const hash of roots) await markBlob({ hash }, on);
  while (on.below.length > 0) {
    const level = on.below.splice(0);
    await inParallel(level, readAtOnce, async (hash) => markNode(await reader.node({ hash }), on));
  }
  return on.marks;
}

interface Marking {
  readonly reader: ObjectReader;
  readonly marks: HashMarks;
  /** What was looked into. An object can be a chunk, too: that of a file that is a copy of it. */
  readonly nodes: HashMarks;
  readonly lists: HashMarks;
  /** Nodes that are still to be looked at. */
  readonly below: Hash[];
}

async function markNode(node: Node, on: Marking): Promise<void> {
  if (node.kind === 'branch') {
    for (const child of node.children) if (child !== null) await markBlob(child.blob, on);
    return;
  }
  for (const { entry } of node.entries.values()) {
    if (entry.type === 'directory') await markBlob(entry.node, on);
    if (entry.type === 'file') await markFile(entry, on);
  }
}

async function markBlob(blob: Blob, on: Marking): Promise<void> {
  if (blob.hash === undefined) return await markNode(await on.reader.node(blob), on);
  on.marks.add(blob.hash);
  if (on.nodes.add(blob.hash)) on.below.push(blob.hash);
}

async function markFile(file: FileEntry, { reader, marks, lists }: Marking): Promise<void> {
  if (file.content.kind === 'inline') return;
  const { hash } = file.content.list;
  if (hash !== undefined) {
    marks.add(hash);
    if (!lists.add(hash)) return;
  }
  for (const chunk of await chunksOf(reader, file)) if (chunk !== null) marks.add(chunk);
}
