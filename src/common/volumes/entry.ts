/** Hex of a SHA-256: the name of an object. */
export type Hash = string;

/**
 * Bytes that are kept by their hash, or at the place itself where they are short. Always the shorter form where it is
 * allowed, so that equal trees have equal bytes.
 */
export type Blob =
  | { readonly hash: Hash; readonly inline?: undefined }
  | { readonly inline: Uint8Array; readonly hash?: undefined };

/** At most that many bytes are kept inline. */
export const inlineBytes = 4_096;

export interface Attributes {
  /** Permissions with setuid, setgid and sticky: at most 0o7777. */
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
}

export interface FileEntry extends Attributes {
  readonly type: 'file';
  readonly size: number;
  readonly content: FileContent;
}

/** A file of up to `inlineBytes` is kept whole in its directory; a larger one is a list of chunks (chunk-list). */
export type FileContent =
  | { readonly kind: 'inline'; readonly bytes: Uint8Array }
  | { readonly kind: 'chunks'; readonly list: Blob; readonly storedBytes: number };

export interface SymlinkEntry extends Attributes {
  readonly type: 'symlink';
  readonly target: string;
}

export interface DirectoryEntry extends Attributes {
  readonly type: 'directory';
  /** Its entries (node-codec). */
  readonly node: Blob;
  /** Files and symbolic links in it, at any depth. */
  readonly files: number;
  /** What its files hold at any depth; holes do not count. */
  readonly bytes: number;
}

/** What a directory has under one name. */
export type Entry = FileEntry | SymlinkEntry | DirectoryEntry;

/** What a directory counts of an entry. */
export function weightOf(entry: Entry): { readonly files: number; readonly bytes: number } {
  switch (entry.type) {
    case 'file':
      return { files: 1, bytes: entry.content.kind === 'inline' ? entry.size : entry.content.storedBytes };
    case 'symlink':
      return { files: 1, bytes: 0 };
    case 'directory':
      return entry;
    default:
      return entry satisfies never;
  }
}

export function sameBlob(a: Blob, b: Blob): boolean {
  if (a.inline === undefined || b.inline === undefined) return a.hash === b.hash && a.hash !== undefined;
  return Buffer.compare(a.inline, b.inline) === 0;
}

/** Equal but for their times. */
export function sameContent(a: Entry | null, b: Entry | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.mode !== b.mode) return false;
  if (a.type === 'file') return b.type === 'file' && a.size === b.size && sameBytes(a.content, b.content);
  if (a.type === 'symlink') return b.type === 'symlink' && a.target === b.target;
  return b.type === 'directory' && sameBlob(a.node, b.node);
}

export function sameEntry(a: Entry | null, b: Entry | null): boolean {
  if (a === null || b === null) return a === b;
  return a.mtimeSeconds === b.mtimeSeconds && a.mtimeNanos === b.mtimeNanos && sameContent(a, b);
}

function sameBytes(a: FileContent, b: FileContent): boolean {
  if (a.kind === 'inline') return b.kind === 'inline' && Buffer.compare(a.bytes, b.bytes) === 0;
  return b.kind === 'chunks' && sameBlob(a.list, b.list);
}
