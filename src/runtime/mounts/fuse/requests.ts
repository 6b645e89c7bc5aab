/** Numbers of the kernel's protocol (linux/fuse.h, 7.31 and later); what is not here is answered with ENOSYS. */
export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  interrupt: 36,
  destroy: 38,
  ioctl: 39,
  batchForget: 42,
  readdirplus: 44,
  rename2: 45,
} as const;

const requestHeaderBytes = 40;

/** One request of the kernel; its body is valid until the next one is read into the same memory. */
export interface FuseRequest {
  readonly opcode: number;
  /** To be named in the answer. */
  readonly unique: number;
  readonly nodeId: number;
  /** The thread that asks; 0 where it cannot be told. */
  readonly thread: number;
  readonly body: Buffer;
}

/** The kernel's own, so nothing in it is doubted but that it is whole. */
export function parseRequest(bytes: Buffer): FuseRequest {
  return {
    opcode: bytes.readUInt32LE(4),
    unique: readU64(bytes, 8),
    nodeId: readU64(bytes, 16),
    thread: bytes.readUInt32LE(32),
    body: bytes.subarray(requestHeaderBytes),
  };
}

/** Numbers above 2^53 do not occur: ids and handles are ours, sizes are bounded by the kernel. */
export function readU64(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
}

export function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, at);
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

/** Texts that end with NUL, one after the other. */
export function texts(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0, end = bytes.indexOf(0); end >= 0; at = end + 1, end = bytes.indexOf(0, at))
    found.push(bytes.subarray(at, end));
  return found;
}

export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  readonly maxReadahead: number;
  readonly flags: number;
}

export function parseInit(body: Buffer): InitRequest {
  return {
    major: body.readUInt32LE(0),
    minor: body.readUInt32LE(4),
    maxReadahead: body.readUInt32LE(8),
    flags: body.readUInt32LE(12),
  };
}

const attributeBits = { mode: 1, uid: 2, gid: 4, size: 8, mtime: 32, mtimeNow: 256 };

/** What is to be changed of a node; the rest stays. */
export interface SetAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number;
  readonly mtime?: { readonly seconds: number; readonly nanos: number } | 'now';
}

export function parseSetAttributes(body: Buffer): SetAttributes {
  const valid = body.readUInt32LE(0);
  const has = (bit: number): boolean => (valid & bit) !== 0;
  // Signed: files may be older than 1970.
  const mtime = { seconds: Number(body.readBigInt64LE(40)), nanos: body.readUInt32LE(60) };
  return {
    ...(has(attributeBits.mode) ? { mode: body.readUInt32LE(68) & 0o7777 } : {}),
    ...(has(attributeBits.uid) ? { uid: body.readUInt32LE(76) } : {}),
    ...(has(attributeBits.gid) ? { gid: body.readUInt32LE(80) } : {}),
    ...(has(attributeBits.size) ? { size: readU64(body, 16) } : {}),
    ...(has(attributeBits.mtimeNow) ? { mtime: 'now' } : has(attributeBits.mtime) ? { mtime } : {}),
  };
}

/** Of a read, a write, and a read of a directory. */
export function parseTransfer(body: Buffer): {
  readonly handle: number;
  readonly offset: number;
  readonly size: number;
} {
  return { handle: readU64(body, 0), offset: readU64(body, 8), size: body.readUInt32LE(16) };
}

export const transferHeaderBytes = 40;

/** Whether the kernel writes back what a program wrote before: the program does not hear what becomes of it. */
export function isWriteBack(body: Buffer): boolean {
  return (body.readUInt32LE(20) & 1) !== 0;
}

/** How the file was opened that is written to: flags of open(2). */
export function openFlagsOfWrite(body: Buffer): number {
  return body.readUInt32LE(32);
}

export function parseForgets(body: Buffer): { readonly nodeId: number; readonly lookups: number }[] {
  const count = body.readUInt32LE(0);
  return Array.from({ length: count }, (_, i) => ({
    nodeId: readU64(body, 8 + i * 16),
    lookups: readU64(body, 16 + i * 16),
  }));
}
