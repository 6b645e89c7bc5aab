import { isUtf8 } from 'node:buffer';
import { ByteReader, ByteWriter } from './binary.js';
import { maxFileBytes } from './chunk-layout.js';
import { type Blob, type Entry, inlineBytes } from './entry.js';

/**
 * A directory is one leaf, or a trie of leaves over the hashes of its names. Which of both it is follows from its entries
 * alone (change-directory), so that equal directories have equal bytes.
 */
export type Node = Leaf | Branch;

export interface Leaf {
  readonly kind: 'leaf';
  /** By name, in the order of names. */
  readonly entries: ReadonlyMap<string, StoredEntry>;
}

/** An entry and its bytes. */
export interface StoredEntry {
  readonly entry: Entry;
  readonly raw: Uint8Array;
}

export interface Branch {
  readonly kind: 'branch';
  /** Sixteen, by the next four bits of a name's hash. */
  readonly children: readonly (Child | null)[];
}

/** A part of a directory, and what is in it. */
export interface Child {
  readonly blob: Blob;
  /** Bytes of the entries in it. */
  readonly size: number;
  readonly files: number;
  readonly bytes: number;
}

export const fanOut = 16;
const formatVersion = 1;
const maxEntries = 1_048_576;
const maxNameBytes = 255;
const maxTargetBytes = 4_095;
const maxSeconds = 2 ** 40;
const nanosPerSecond = 1_000_000_000;
const hashBytes = 32;
const kinds = { leaf: 0, branch: 1 } as const;
const types = ['file', 'symlink', 'directory'] as const;
const contentKinds = ['inline', 'chunks'] as const;

export function encodeNode(node: Node): Buffer {
  const writer = new ByteWriter();
  writer.u8(formatVersion);
  writer.u8(kinds[node.kind]);
  if (node.kind === 'leaf') {
    writer.count(node.entries.size);
    for (const name of [...node.entries.keys()].sort()) writer.raw((node.entries.get(name) as StoredEntry).raw);
    return writer.finish();
  }
  writer.u16(node.children.reduce((bits, child, i) => (child === null ? bits : bits | (1 << i)), 0));
  for (const child of node.children) {
    if (child === null) continue;
    writeBlob(writer, child.blob);
    for (const value of [child.size, child.files, child.bytes]) writer.count(value);
  }
  return writer.finish();
}

/** @throws Internal for what `encodeNode` does not write */
export function decodeNode(bytes: Uint8Array): Node {
  const reader = new ByteReader(bytes, 'a directory');
  if (reader.u8() !== formatVersion) throw reader.wrong('is of another version');
  const kind = reader.u8();
  const node = kind === kinds.leaf ? readLeaf(reader) : kind === kinds.branch ? readBranch(reader) : null;
  if (node === null) throw reader.wrong('is of no known kind');
  reader.end();
  return node;
}

/** One entry as it is in a leaf, its name first. */
export function storedEntry(name: string, entry: Entry): StoredEntry {
  const writer = new ByteWriter();
  writer.bytes(Buffer.from(name, 'utf8'));
  writer.u8(types.indexOf(entry.type));
  writer.count(entry.mode);
  writer.signed(entry.mtimeSeconds);
  writer.count(entry.mtimeNanos);
  switch (entry.type) {
    case 'file':
      writer.count(entry.size);
      writer.u8(contentKinds.indexOf(entry.content.kind));
      if (entry.content.kind === 'inline') writer.bytes(entry.content.bytes);
      else {
        writer.count(entry.content.storedBytes);
        writeBlob(writer, entry.content.list);
      }
      break;
    case 'symlink':
      writer.bytes(Buffer.from(entry.target, 'utf8'));
      break;
    case 'directory':
      writer.count(entry.files);
      writer.count(entry.bytes);
      writeBlob(writer, entry.node);
      break;
    default:
      entry satisfies never;
  }
  return { entry, raw: writer.finish() };
}

/** Null, or what is wrong with it as the name of an entry. */
export function wrongName(name: string): string | null {
  if (name === '' || name === '.' || name === '..') return 'is no name of a file';
  if (name.includes('/') || name.includes('\0')) return 'has a / or NUL in it';
  if (/\p{Surrogate}/u.test(name)) return 'is no Unicode text';
  return Buffer.byteLength(name, 'utf8') > maxNameBytes ? `has more than ${maxNameBytes} bytes` : null;
}

function readLeaf(reader: ByteReader): Leaf {
  const entries = new Map<string, StoredEntry>();
  let last = '';
  for (let left = reader.count(maxEntries); left > 0; left--) {
    const start = reader.at;
    const name = readText(reader, maxNameBytes);
    if (wrongName(name) !== null) throw reader.wrong('has an entry whose name is none');
    if (name <= last) throw reader.wrong('has entries out of order');
    last = name;
    const entry = readEntry(reader);
    entries.set(name, { entry, raw: reader.since(start) });
  }
  return { kind: 'leaf', entries };
}

function readEntry(reader: ByteReader): Entry {
  const type = types[reader.u8()];
  const attributes = {
    mode: reader.count(0o7777),
    mtimeSeconds: reader.signed(maxSeconds),
    mtimeNanos: reader.count(nanosPerSecond - 1),
  };
  switch (type) {
    case 'file': {
      const size = reader.count(maxFileBytes);
      const kind = contentKinds[reader.u8()];
      if (kind === 'inline') return { type, ...attributes, size, content: { kind, bytes: readInline(reader, size) } };
      if (kind === undefined) throw reader.wrong('has a file whose content is of no known kind');
      const storedBytes = reader.count(size);
      return { type, ...attributes, size, content: { kind, storedBytes, list: readBlob(reader) } };
    }
    case 'symlink':
      return { type, ...attributes, target: readText(reader, maxTargetBytes) };
    case 'directory':
      return { type, ...attributes, files: reader.count(), bytes: reader.count(), node: readBlob(reader) };
    default:
      throw reader.wrong('has an entry of no known type');
  }
}

function readInline(reader: ByteReader, size: number): Uint8Array {
  const bytes = reader.bytes(inlineBytes);
  if (bytes.length !== size) throw reader.wrong('has a file of another size than its bytes');
  return bytes;
}

function readBranch(reader: ByteReader): Branch {
  const bits = reader.u16();
  const children = Array.from({ length: fanOut }, (_, i) => {
    if ((bits & (1 << i)) === 0) return null;
    return { blob: readBlob(reader), size: reader.count(), files: reader.count(), bytes: reader.count() };
  });
  return { kind: 'branch', children };
}

function writeBlob(writer: ByteWriter, blob: Blob): void {
  writer.u8(blob.inline === undefined ? 1 : 0);
  if (blob.inline === undefined) writer.raw(Buffer.from(blob.hash, 'hex'));
  else writer.bytes(blob.inline);
}

function readBlob(reader: ByteReader): Blob {
  const kind = reader.u8();
  if (kind === 0) return { inline: reader.bytes(inlineBytes) };
  if (kind === 1) return { hash: reader.raw(hashBytes).toString('hex') };
  throw reader.wrong('has a reference of no known kind');
}

function readText(reader: ByteReader, most: number): string {
  const bytes = reader.bytes(most);
  if (!isUtf8(bytes)) throw reader.wrong('has text that is not UTF-8');
  return bytes.toString('utf8');
}
