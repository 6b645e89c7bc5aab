import { posix } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { tarBlock, tarHeaders } from '../../common/tar-header.js';
import { ByteReader } from './byte-reader.js';

/** What the headers of an entry say, of which there may be several for one. */
interface Entry {
  readonly name: string;
  readonly flag: string;
  readonly mode: number;
  readonly size: number;
  /** As they came. */
  readonly headers: Uint8Array;
}

const mark = '.wh.';
const opaqueMark = '.wh..wh..opq';
const opaque = { 'user.overlay.opaque': 'y' };
/** Of names and attributes of one entry, together. */
const mostHeaderBytes = 1_048_576;
const mostNameChars = 268_435_456;
/** Of its place in a table. */
const charsPerName = 64;
/** Of the unpacked layer: a small one can be made to be endless. */
const mostBytes = 32 * 1_073_741_824;
const usualFolderMode = 0o755;
const flags = { folder: '5', characterDevice: '3', blockDevice: '4', sparse: 'S' };

/**
 * A layer of OCI as a layer of ours: files whose names say that something of the layers below is gone become what overlays
 * take for that; devices are left out.
 *
 * Source: image-spec, layer.md, "Whiteouts".
 * @throws InvalidArgument for what is no tar, PayloadTooLarge
 */
export async function* fromOciLayer(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new ByteReader(tar, mostBytes);
  try {
    const layer = new Marks();
    for (let entry = await nextEntry(reader); entry !== null; entry = await nextEntry(reader)) {
      const instead = layer.replacementOf(entry);
      if (instead === null) yield entry.headers;
      else if (instead.length > 0) yield instead;
      const padded = Math.ceil(entry.size / tarBlock) * tarBlock;
      for await (const bytes of reader.pieces(padded)) if (instead === null) yield bytes;
      const more = instead === null ? layer.after(entry) : null;
      if (more !== null) yield more;
    }
    // Whoever checks its hash sees all of it.
    await reader.drain();
    yield new Uint8Array(2 * tarBlock);
  } finally {
    await reader.close();
  }
}

/** What a layer says of those below it. */
class Marks {
  /** Modes of folders that have come, by name. */
  readonly #folders = new Map<string, number>();
  readonly #hidden = new Set<string>();
  #nameChars = 0;

  /** Null: it stays as it is; empty: it is left out. */
  replacementOf({ name, flag }: Entry): Uint8Array | null {
    const base = posix.basename(name);
    const folder = posix.dirname(name);
    if (base === opaqueMark) return this.#opaque(folder);
    if (base.startsWith(`${mark}${mark}`)) return new Uint8Array(0);
    if (base.startsWith(mark)) return this.#hide(posix.join(folder, base.slice(mark.length)));
    if (flag === flags.characterDevice || flag === flags.blockDevice) return new Uint8Array(0);
    return null;
  }

  /** What must follow an entry that stays. */
  after({ name, flag, mode }: Entry): Uint8Array | null {
    if (flag !== flags.folder) return null;
    this.#remember(name);
    this.#folders.set(name, mode);
    // It takes the place of one that is gone, and shows nothing of that.
    return this.#hidden.has(name) ? this.#opaque(name) : null;
  }

  #hide(name: string): Uint8Array {
    if (this.#folders.has(name)) return this.#opaque(name);
    this.#remember(name);
    this.#hidden.add(name);
    return tarHeaders({ name, type: 'hidden', mode: 0 });
  }

  /** All names that are kept here, in memory. */
  #remember(name: string): void {
    this.#nameChars += name.length + charsPerName;
    if (this.#nameChars > mostNameChars) throw wrong('it has too many names');
  }

  #opaque(name: string): Uint8Array {
    const mode = this.#folders.get(name) ?? usualFolderMode;
    return tarHeaders({ name, type: 'folder', mode, attributes: opaque });
  }
}

/** Null: the end. */
async function nextEntry(reader: ByteReader): Promise<Entry | null> {
  const headers: Uint8Array[] = [];
  let given: { name?: string; size?: number } = {};
  for (let bytes = 0; bytes <= mostHeaderBytes; ) {
    const header = await reader.exactly(tarBlock);
    if (header === null || header.every((byte) => byte === 0)) return null;
    checkSum(header);
    headers.push(header);
    const flag = String.fromCharCode(header[156] as number);
    if (flag === flags.sparse) throw wrong('a file in it is sparse in the old way of GNU tar');
    const size = numberAt(header, 124, 12);
    if (size < 0) throw wrong('a size in it is none');
    if (!['x', 'g', 'L', 'K'].includes(flag)) {
      const name = plainName(given.name ?? nameOf(header));
      return { name, flag, mode: numberAt(header, 100, 8), size: given.size ?? size, headers: Buffer.concat(headers) };
    }
    bytes += tarBlock + size;
    if (bytes > mostHeaderBytes) break;
    const body = await reader.exactly(Math.ceil(size / tarBlock) * tarBlock);
    if (body === null) throw wrong('it ends too early');
    headers.push(body);
    if (flag === 'x') given = { ...given, ...paxOf(body.subarray(0, size)) };
    if (flag === 'L') given = { ...given, name: textOf(body.subarray(0, size)) };
  }
  throw wrong('a name in it is too long');
}

/** @throws InvalidArgument */
function checkSum(header: Uint8Array): void {
  const sum = header.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 0x20 : byte), 0);
  if (sum !== numberAt(header, 148, 8)) throw wrong('it is no tar');
}

/** Octal text, or with the highest bit a binary number. */
function numberAt(header: Uint8Array, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  const isBinary = ((field[0] as number) & 0x80) !== 0;
  const digits = textOf(field).trim();
  const value = isBinary
    ? field.subarray(1).reduce((total, byte) => total * 256 + byte, 0)
    : Number.parseInt(digits === '' ? '0' : digits, 8);
  if (Number.isSafeInteger(value)) return value;
  throw wrong('a number in it is none');
}

function nameOf(header: Uint8Array): string {
  const name = textOf(header.subarray(0, 100));
  const isPosix = textOf(header.subarray(257, 263)).startsWith('ustar') && header[262] === 0;
  const prefix = isPosix ? textOf(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function plainName(name: string): string {
  return posix.normalize(`./${name}`).replace(/\/$/, '');
}

function paxOf(body: Uint8Array): { name?: string; size?: number } {
  const found: { name?: string; size?: number } = {};
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; ) {
    const length = Number.parseInt(bytes.toString('latin1', at, at + 12), 10);
    if (!(length > 0 && at + length <= bytes.length)) throw wrong('a header in it is damaged');
    const record = bytes.toString('utf8', at, at + length - 1);
    const [key, value] = splitOnce(record.slice(record.indexOf(' ') + 1), '=');
    if (key === 'path') found.name = value;
    if (key === 'size') found.size = sizeOf(value);
    at += length;
  }
  return found;
}

function sizeOf(text: string): number {
  const size = Number(text);
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw wrong('a size in it is none');
}

function splitOnce(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

/** To the first NUL. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
}

function wrong(why: string): HoldfastError {
  return new HoldfastError('InvalidArgument', `a layer of an OCI image cannot be used: ${why}`);
}
