import { guestBroke } from './guest-errors.js';
import { decodeName } from './guest-text.js';

/** inotify(7). */
export const InotifyFlag = {
  modify: 0x2,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x0100_0000,
  dontFollow: 0x0200_0000,
  exclUnlink: 0x0400_0000,
  isDirectory: 0x4000_0000,
} as const;

export interface InotifyEvent {
  readonly watch: number;
  readonly flags: number;
  /** The same for both ends of a move. */
  readonly cookie: number;
  /** In the directory that is watched; empty: that itself. */
  readonly name: string;
  /** That it took. */
  readonly bytes: number;
}

/** i32 watch | u32 flags | u32 cookie | u32 length of the name | the name, filled up with NUL. */
const headerBytes = 16;
const maxNameBytes = 272;

/** @returns how many bytes were whole events @throws Unavailable where they are malformed */
export function readInotifyEvents(page: Buffer, visit: (event: InotifyEvent) => void): number {
  let at = 0;
  while (page.length - at >= headerBytes) {
    const nameBytes = page.readUInt32LE(at + 12);
    const bytes = headerBytes + nameBytes;
    if (nameBytes > maxNameBytes) throw guestBroke('a change is malformed');
    if (page.length - at < bytes) break;
    const field = page.subarray(at + headerBytes, at + bytes);
    const end = field.indexOf(0);
    const name = end === -1 ? field : field.subarray(0, end);
    if (name.includes(0x2f)) throw guestBroke('a changed name is malformed');
    visit({
      watch: page.readInt32LE(at),
      flags: page.readUInt32LE(at + 4),
      cookie: page.readUInt32LE(at + 8),
      name: decodeName(name),
      bytes,
    });
    at += bytes;
  }
  return at;
}
