import { createHash } from 'node:crypto';
import type { NodeStore } from '../../../src/common/volumes/change-directory.js';
import { type Attributes, type Blob, type FileEntry, inlineBytes } from '../../../src/common/volumes/entry.js';
import { decodeNode, type Node } from '../../../src/common/volumes/node-codec.js';

/** Nodes of trees in memory, decoded anew at each read. */
export class MemoryNodes implements NodeStore {
  readonly objects = new Map<string, Uint8Array>();
  reads = 0;

  async node(blob: Blob): Promise<Node> {
    if (blob.inline !== undefined) return decodeNode(blob.inline);
    this.reads += 1;
    const bytes = this.objects.get(blob.hash);
    if (bytes === undefined) throw new Error(`no node ${blob.hash}`);
    return decodeNode(bytes);
  }

  async store(bytes: Uint8Array): Promise<Blob> {
    if (bytes.length <= inlineBytes) return { inline: bytes };
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.objects.set(hash, bytes);
    return { hash };
  }
}

export const attributes: Attributes = { mode: 0o755, mtimeSeconds: 0, mtimeNanos: 0 };

/** A small file with that text. */
export function fileOf(text: string, fields: Partial<Attributes> = {}): FileEntry {
  const bytes = Buffer.from(text, 'utf8');
  const content = { kind: 'inline', bytes } as const;
  return { type: 'file', mode: 0o644, mtimeSeconds: 1, mtimeNanos: 0, size: bytes.length, content, ...fields };
}
