import { type InitRequest, writeU64 } from './requests.js';

export const maxWriteBytes = 1_048_576;
const pageBytes = 4_096;
const blockBytes = 512;
const ioBlockBytes = 131_072;
const maxNameBytes = 255;
/** Nobody but the kernel changes what is below a mount, unless it is told so (`outdatedName`). */
const validSeconds = 3_600;
const attributeBytes = 88;
const entryHeadBytes = 40;
const entryBytes = entryHeadBytes + attributeBytes;
const openBytes = 16;
const keepCache = 1 << 1;
const directIo = 1 << 0;
const direntHeadBytes = 24;
const unknownIno = 0xffff_ffff;
const protocol = { major: 7, minor: 38 };
const backgroundRequests = 64;
/** Its congestion begins there. */
const congestedRequests = 48;

const initFlags = {
  asyncRead: 1 << 0,
  bigWrites: 1 << 5,
  ioctlOfDirectories: 1 << 11,
  readdirPlus: 1 << 13,
  readdirPlusAuto: 1 << 14,
  writebackCache: 1 << 16,
  parallelDirectories: 1 << 18,
  maxPages: 1 << 22,
  cacheSymlinks: 1 << 23,
};

export interface ShownAttributes {
  readonly ino: number;
  /** Type and permissions. */
  readonly mode: number;
  readonly size: number;
  /** On disk; of files with holes less than their size. */
  readonly bytes: number;
  readonly uid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanos: number;
  readonly ctimeMs: number;
}

/** What of it the kernel offers is taken; @param isOurs only the kernel itself changes files: it may write back when it likes */
export function initReply(asked: InitRequest, isOurs = true): Buffer {
  const reply = Buffer.alloc(64);
  const { writebackCache, readdirPlus, readdirPlusAuto, ...others } = initFlags;
  const own = isOurs ? writebackCache | readdirPlus | readdirPlusAuto : 0;
  const wanted = Object.values(others).reduce((flags, flag) => flags | flag, own);
  reply.writeUInt32LE(protocol.major, 0);
  reply.writeUInt32LE(Math.min(protocol.minor, asked.minor), 4);
  reply.writeUInt32LE(Math.max(asked.maxReadahead, maxWriteBytes), 8);
  reply.writeUInt32LE((asked.flags & wanted) >>> 0, 12);
  reply.writeUInt16LE(backgroundRequests, 16);
  reply.writeUInt16LE(congestedRequests, 18);
  reply.writeUInt32LE(maxWriteBytes, 20);
  reply.writeUInt32LE(1, 24); // times in ns
  reply.writeUInt16LE(maxWriteBytes / pageBytes, 28);
  return reply;
}

/** @param seconds for which the kernel believes it */
export function entryReply(shown: ShownAttributes, seconds = validSeconds): Buffer {
  const reply = Buffer.alloc(entryBytes);
  writeEntry(reply, 0, shown);
  for (const at of [16, 24]) writeU64(reply, seconds, at);
  return reply;
}

/** There is nothing of that name, and for so many seconds will not be until the kernel makes it or is told. */
export function absentReply(seconds = validSeconds): Buffer {
  const reply = Buffer.alloc(entryBytes);
  writeU64(reply, seconds, 16);
  return reply;
}

/** @param seconds for which the kernel believes it */
export function attributesReply(shown: ShownAttributes, seconds = validSeconds): Buffer {
  const reply = Buffer.alloc(16 + attributeBytes);
  writeU64(reply, seconds, 0);
  writeAttributes(reply, 16, shown);
  return reply;
}

/** Of a file that others change, too: the kernel forgets its bytes with each opening, or never keeps them. */
export function openSharedReply(handle: number, isKept: boolean): Buffer {
  const reply = Buffer.alloc(openBytes);
  writeU64(reply, handle, 0);
  reply.writeUInt32LE(isKept ? 0 : directIo, 8);
  return reply;
}

export function openDirectoryReply(handle: number): Buffer {
  const reply = Buffer.alloc(openBytes);
  writeU64(reply, handle, 0);
  return reply;
}

/** Of a file, which has no handle; what the kernel has of its bytes is still right. */
export function openFileReply(): Buffer {
  const reply = Buffer.alloc(openBytes);
  reply.writeUInt32LE(keepCache, 8);
  return reply;
}

export function writtenReply(bytes: number): Buffer {
  const reply = Buffer.alloc(8);
  reply.writeUInt32LE(bytes, 0);
  return reply;
}

export function statfsReply(space: { readonly totalBytes: number; readonly freeBytes: number }): Buffer {
  const reply = Buffer.alloc(80);
  writeU64(reply, Math.floor(space.totalBytes / pageBytes), 0);
  for (const at of [8, 16]) writeU64(reply, Math.floor(space.freeBytes / pageBytes), at);
  reply.writeUInt32LE(pageBytes, 40);
  reply.writeUInt32LE(maxNameBytes, 44);
  reply.writeUInt32LE(pageBytes, 48);
  return reply;
}

/** One name in a directory. */
export interface Dirent {
  readonly name: Buffer;
  /** Where the next one is. */
  readonly offset: number;
  /** As in a mode, without permissions. */
  readonly typeBits: number;
  /** Null: it has none yet. */
  readonly ino: number | null;
}

/** Names of a directory, as far as they fit. */
export class DirentBuffer {
  readonly #bytes: Buffer;
  #length = 0;

  constructor(maxBytes: number) {
    this.#bytes = Buffer.alloc(Math.min(maxBytes, maxWriteBytes));
  }

  /** @param plus null in a plain list; 'none': the kernel is to look it up itself */
  fits(name: Buffer, isPlus: boolean): boolean {
    return this.#length + direntBytes(name, isPlus) <= this.#bytes.length;
  }

  add(dirent: Dirent, plus: ShownAttributes | 'none' | null): void {
    const { name, offset, typeBits, ino } = dirent;
    const start = this.#length;
    if (plus !== null && plus !== 'none') writeEntry(this.#bytes, start, plus);
    const at = start + (plus === null ? 0 : entryBytes);
    writeU64(this.#bytes, ino ?? unknownIno, at);
    writeU64(this.#bytes, offset, at + 8);
    this.#bytes.writeUInt32LE(name.length, at + 16);
    this.#bytes.writeUInt32LE(typeBits >> 12, at + 20);
    name.copy(this.#bytes, at + direntHeadBytes);
    this.#length += direntBytes(name, plus !== null);
  }

  take(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Tells the kernel that a name may be something else now. */
export function outdatedName(parentId: number, name: string): { readonly code: number; readonly body: Buffer } {
  const text = Buffer.from(name, 'utf8');
  const body = Buffer.alloc(16 + text.length + 1);
  writeU64(body, parentId, 0);
  body.writeUInt32LE(text.length, 8);
  text.copy(body, 16);
  return { code: 3, body };
}

/** Tells the kernel that the attributes of a node, not its bytes, may be others now. */
export function outdatedAttributes(nodeId: number): { readonly code: number; readonly body: Buffer } {
  const body = Buffer.alloc(24);
  writeU64(body, nodeId, 0);
  body.writeBigInt64LE(-1n, 8);
  return { code: 2, body };
}

function direntBytes(name: Buffer, isPlus: boolean): number {
  return (isPlus ? entryBytes : 0) + Math.ceil((direntHeadBytes + name.length) / 8) * 8;
}

function writeEntry(into: Buffer, at: number, shown: ShownAttributes): void {
  writeU64(into, shown.ino, at);
  writeU64(into, validSeconds, at + 16);
  writeU64(into, validSeconds, at + 24);
  writeAttributes(into, at + entryHeadBytes, shown);
}

function writeAttributes(into: Buffer, at: number, shown: ShownAttributes): void {
  writeU64(into, shown.ino, at);
  writeU64(into, shown.size, at + 8);
  writeU64(into, Math.ceil(shown.bytes / blockBytes), at + 16);
  const ctimeSeconds = Math.floor(shown.ctimeMs / 1_000);
  for (const [i, seconds] of [shown.mtimeSeconds, shown.mtimeSeconds, ctimeSeconds].entries())
    into.writeBigInt64LE(BigInt(seconds), at + 24 + i * 8);
  const ctimeNanos = Math.floor((shown.ctimeMs - ctimeSeconds * 1_000) * 1_000_000);
  for (const [i, nanos] of [shown.mtimeNanos, shown.mtimeNanos, ctimeNanos].entries())
    into.writeUInt32LE(nanos, at + 48 + i * 4);
  into.writeUInt32LE(shown.mode, at + 60);
  into.writeUInt32LE(1, at + 64);
  into.writeUInt32LE(shown.uid, at + 68);
  into.writeUInt32LE(shown.uid, at + 72);
  into.writeUInt32LE(ioBlockBytes, at + 80);
}
