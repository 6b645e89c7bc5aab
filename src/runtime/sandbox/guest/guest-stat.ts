import type { GuestFileType, GuestStat } from '../../../common/ports/guest.js';
import { guestBroke } from './guest-errors.js';

const statBytes = 19;
/** `d_type` of readdir(3). */
const types: Readonly<Record<number, GuestFileType>> = { 4: 'directory', 8: 'file', 10: 'symlink' };

/** u8 type | u16 mode | u64 size | u64 mtime in ns. @throws Unavailable where it is malformed */
export function readStat(body: Buffer): GuestStat {
  if (body.length !== statBytes) throw guestBroke('a stat is malformed');
  return {
    type: fileType(body[0] as number),
    mode: body.readUInt16LE(1),
    size: Number(body.readBigUInt64LE(3)),
    modifiedAtMs: Number(body.readBigInt64LE(11)) / 1e6,
  };
}

export function fileType(number: number): GuestFileType {
  return types[number] ?? 'other';
}
