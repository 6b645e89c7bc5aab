import { HoldfastError } from '../../common/errors.js';

/** Levels of a value that may travel; tagged bytes nest at most twice as deep. */
export const maxValueDepth = 1_000;
/** Objects and arrays in one message: one costs a byte to send and about 60 to hold. */
export const maxValueContainers = 4_194_304;
const maxScanDepth = maxValueDepth * 2 + 8;

// Reused by every scan: a scan is synchronous and calls nobody.
const remainingAt = new Uint32Array(maxScanDepth + 1);
const isMapAt = new Uint8Array(maxScanDepth + 1);

/**
 * Walks the MessagePack value that must fill `bytes` from `start` on, without making anything of it, so that msgpackr only
 * ever sees bytes of our own kind: no extensions (they decode whatever options are set), no length beyond the end, a
 * bounded depth (msgpackr recurses), string keys, and no `__proto__`.
 * @throws InvalidArgument
 */
export function scanMessage(bytes: Uint8Array, start: number): void {
  const end = bytes.length;
  let position = start;
  let depth = 0;
  let remaining = 1;
  let inMap = false;
  let containers = 0;
  while (true) {
    while (remaining === 0) {
      if (depth === 0) {
        if (position !== end) refuse('bytes follow the value', position);
        return;
      }
      depth -= 1;
      remaining = remainingAt[depth] as number;
      inMap = isMapAt[depth] === 1;
    }
    remaining -= 1;
    if (position >= end) refuse('it is cut off', position);
    const token = bytes[position] as number;
    // Keys stand where an odd number of items is left.
    const isKey = inMap && (remaining & 1) === 1;
    const items = containerItems(bytes, position, token);
    if (items < 0) {
      position = isKey ? skipKey(bytes, position, token) : skipScalar(bytes, position, token);
      continue;
    }
    if (isKey) refuse('a key is not a string', position);
    position += token <= 0x9f ? 1 : token & 1 ? 5 : 3;
    const isMap = token < 0x90 || token >= 0xde;
    const children = isMap ? items * 2 : items;
    if (children > end - position) refuse('it is cut off', position);
    if (depth === maxScanDepth) refuse(`it nests deeper than ${maxValueDepth} levels`, position);
    containers += 1;
    if (containers > maxValueContainers) refuse(`it holds more than ${maxValueContainers} objects`, position);
    remainingAt[depth] = remaining;
    isMapAt[depth] = inMap ? 1 : 0;
    depth += 1;
    remaining = children;
    inMap = isMap;
  }
}

/** Entries of the array or map at `position`, or -1. Its header is 1 byte, or 3, or 5 (`dd`, `df`). */
function containerItems(bytes: Uint8Array, position: number, token: number): number {
  if (token >= 0x80 && token <= 0x9f) return token & 0x0f;
  if (token < 0xdc || token > 0xdf) return -1;
  return token & 1 ? u32(bytes, position + 1) : u16(bytes, position + 1);
}

function skipKey(bytes: Uint8Array, position: number, token: number): number {
  const next = skipString(bytes, position, token);
  if (next < 0) refuse('a key is not a string', position);
  if (next - position >= 10 && isProtoKey(bytes, next)) {
    const header = token <= 0xbf ? 1 : token === 0xd9 ? 2 : token === 0xda ? 3 : 5;
    if (next - position - header === 9) refuse('a key is __proto__', position);
  }
  return next;
}

/** `__proto__` in the nine bytes before `next`. */
function isProtoKey(bytes: Uint8Array, next: number): boolean {
  for (let i = 0; i < 9; i += 1) if (bytes[next - 9 + i] !== '__proto__'.charCodeAt(i)) return false;
  return true;
}

/** Where the string at `position` ends, or -1: not a string. */
function skipString(bytes: Uint8Array, position: number, token: number): number {
  if (token >= 0xa0 && token <= 0xbf) return within(bytes, position + 1 + (token & 0x1f));
  if (token === 0xd9) return within(bytes, position + 2 + u8(bytes, position + 1));
  if (token === 0xda) return within(bytes, position + 3 + u16(bytes, position + 1));
  if (token === 0xdb) return within(bytes, position + 5 + u32(bytes, position + 1));
  return -1;
}

function skipScalar(bytes: Uint8Array, position: number, token: number): number {
  if (token < 0x80 || token >= 0xe0) return position + 1;
  const next = skipString(bytes, position, token);
  if (next >= 0) return next;
  switch (token) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return position + 1;
    case 0xc4: // bin
      return within(bytes, position + 2 + u8(bytes, position + 1));
    case 0xc5:
      return within(bytes, position + 3 + u16(bytes, position + 1));
    case 0xc6:
      return within(bytes, position + 5 + u32(bytes, position + 1));
    case 0xcc: // u8, i8
    case 0xd0:
      return within(bytes, position + 2);
    case 0xcd: // u16, i16
    case 0xd1:
      return within(bytes, position + 3);
    case 0xca: // f32, u32, i32
    case 0xce:
    case 0xd2:
      return within(bytes, position + 5);
    case 0xcb: // f64
      return within(bytes, position + 9);
    case 0xd4: // The one extension of ours: msgpackr's `undefined`.
      if (u16(bytes, position + 1) === 0) return within(bytes, position + 3);
      return refuse('it holds an extension', position);
    default:
      return refuse(`byte 0x${token.toString(16)} does not belong there`, position);
  }
}

function within(bytes: Uint8Array, next: number): number {
  return next <= bytes.length ? next : refuse('it is cut off', bytes.length);
}

// Bytes beyond the end read as 0; `within` then refuses the length.
function u8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function u16(bytes: Uint8Array, at: number): number {
  return (u8(bytes, at) << 8) | u8(bytes, at + 1);
}

function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x10000 + u16(bytes, at + 2);
}

function refuse(why: string, at: number): never {
  throw new HoldfastError('InvalidArgument', `the bytes do not decode to a value: ${why} (byte ${at})`);
}
