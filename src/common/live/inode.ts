/** Something in a network file system, as its record has it. */
export interface Inode {
  readonly type: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  /** Of a file in bytes; of a directory the number of its names. */
  readonly size: number;
  /** Counts every change of it, and of a file's bytes: who has seen this record has seen all that belongs to it. */
  readonly version: number;
  /** Of a symlink. */
  readonly target?: string;
  /** Of a directory: what it is in. */
  readonly parent?: string;
  /** It has no name any more, or none yet. */
  readonly isNameless?: boolean;
}

/** Of the root directory. */
export const rootIno = 'root';

export const liveKeys = {
  inode: (ino: string) => `i/${ino}`,
  /** Of a name in a directory: what it names. */
  name: (directory: string, name: string) => `n/${directory}/${name}`,
  names: (directory: string) => `n/${directory}/`,
  /** Which object has a block of a file; without one it is zeros. */
  block: (ino: string, index: number) => `b/${ino}/${String(index).padStart(9, '0')}`,
  blocks: (ino: string) => `b/${ino}/`,
  /** Of what has no name: since when, in ms since 1970. */
  nameless: (ino: string) => `o/${ino}`,
} as const;

/** What a name names. */
export interface NameRecord {
  readonly ino: string;
  readonly type: Inode['type'];
}

export function parseInode(text: string): Inode {
  return JSON.parse(text) as Inode;
}

export function parseName(text: string): NameRecord {
  return JSON.parse(text) as NameRecord;
}

export function encodeRecord(record: Inode | NameRecord): string {
  return JSON.stringify(record);
}

export function newInode(type: Inode['type'], mode: number, nowMs: number): Inode {
  return { type, mode, ...timesOf(nowMs), size: 0, version: 1 };
}

function timesOf(nowMs: number): Pick<Inode, 'mtimeSeconds' | 'mtimeNanos'> {
  const mtimeSeconds = Math.floor(nowMs / 1_000);
  return { mtimeSeconds, mtimeNanos: Math.floor((nowMs - mtimeSeconds * 1_000) * 1_000_000) };
}

/** The same after a change. */
export function changed(inode: Inode, nowMs: number, change: Partial<Inode> = {}): Inode {
  return { ...inode, ...timesOf(nowMs), ...change, version: inode.version + 1 };
}
