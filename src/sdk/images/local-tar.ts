import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { HoldfastError } from '../../common/errors.js';

/** A file or folder of this machine, as a tar that is the same wherever the same files are. */
export interface LocalTar {
  readonly sha256: string;
  /** Reads the files anew. @throws InvalidArgument where one has changed since */
  read(): AsyncIterable<Uint8Array>;
}

interface Entry {
  /** In the tar. */
  readonly name: string;
  /** Here. */
  readonly path: string;
  readonly type: 'file' | 'folder' | 'link';
  readonly isExecutable: boolean;
  readonly size: number;
  readonly target: string;
}

const block = 512;
const mostEntries = 1_000_000;
/** 1980-01-02: what a checkout makes of times says nothing about a file, and zip archives know no earlier ones. */
const mtimeSeconds = 315_619_200;
const largestOctal = 0o77_777_777_777;
const longestName = 100;
const modes = { file: 0o644, executable: 0o755, folder: 0o755, link: 0o777 };
const flags = { file: '0', link: '2', folder: '5', pax: 'x' };

/**
 * Reads everything once, for its hash. Modes are those that Git keeps, times are all the same.
 *
 * @param name of a file in the tar; a folder is `.`
 * @throws InvalidArgument for what is not there, or is no file, folder or link
 */
export async function openLocalTar(path: string, name: string): Promise<LocalTar> {
  const hash = createHash('sha256');
  for await (const bytes of tarOf(path, name)) hash.update(bytes);
  return { sha256: hash.digest('hex'), read: () => tarOf(path, name) };
}

async function* tarOf(path: string, name: string): AsyncGenerator<Uint8Array, void, undefined> {
  const found = { entries: 0 };
  for await (const entry of entriesOf(path, name, found)) {
    yield headersOf(entry);
    if (entry.type === 'file') yield* contentOf(entry);
  }
  yield new Uint8Array(2 * block);
}

async function* entriesOf(
  path: string,
  name: string,
  found: { entries: number },
): AsyncGenerator<Entry, void, undefined> {
  found.entries += 1;
  if (found.entries > mostEntries) throw wrong(path, `has more than ${mostEntries} files`);
  const stats = await lstat(path).catch((cause: unknown) => {
    throw wrong(path, 'is not there, or cannot be read', cause);
  });
  const entry = { name, path, size: 0, target: '', isExecutable: (stats.mode & 0o100) !== 0 };
  if (stats.isSymbolicLink()) yield { ...entry, type: 'link', target: await readlink(path) };
  else if (stats.isFile()) yield { ...entry, type: 'file', size: stats.size };
  else if (!stats.isDirectory()) throw wrong(path, 'is no file, folder or link');
  else {
    // The top one is made by whoever unpacks it, and keeps its mode.
    if (name !== '.') yield { ...entry, type: 'folder' };
    for (const child of (await readdir(path)).sort())
      yield* entriesOf(join(path, child), posix.join(name, child), found);
  }
}

async function* contentOf({ path, size }: Entry): AsyncGenerator<Uint8Array, void, undefined> {
  let read = 0;
  if (size > 0) {
    // What is appended meanwhile is not in it.
    for await (const bytes of createReadStream(path, { end: size - 1 }) as AsyncIterable<Buffer>) {
      read += bytes.length;
      yield bytes;
    }
  }
  if (read !== size) throw wrong(path, 'became shorter while it was copied');
  if (size % block !== 0) yield new Uint8Array(block - (size % block));
}

function headersOf(entry: Entry): Uint8Array {
  const { name, target, size } = entry;
  const isPlain = isShort(name) && isShort(target) && size <= largestOctal;
  const header = headerOf(entry, flags[entry.type], size);
  if (isPlain) return header;
  const records =
    paxRecord('path', name) + (target === '' ? '' : paxRecord('linkpath', target)) + paxRecord('size', `${size}`);
  const bytes = Buffer.from(records);
  const padding = new Uint8Array((block - (bytes.length % block)) % block);
  const pax = headerOf({ ...entry, type: 'file', name: 'pax', target: '' }, flags.pax, bytes.length);
  return Buffer.concat([pax, bytes, padding, header]);
}

/** ASCII only: what a byte above means in an old header is anybody's guess. */
function isShort(text: string): boolean {
  return text.length <= longestName && /^[\x20-\x7e]*$/.test(text);
}

/** Its length counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  const bytes = Buffer.byteLength(rest);
  let length = bytes + String(bytes).length;
  length = bytes + String(length).length;
  return `${length}${rest}`;
}

/** Of POSIX's ustar. */
function headerOf({ name, target, type, isExecutable }: Entry, flag: string, size: number): Buffer {
  const header = Buffer.alloc(block);
  const mode = type === 'file' && isExecutable ? modes.executable : modes[type];
  const octal = (value: number, at: number, length: number): void => {
    header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  };
  header.write(name, 0, longestName, 'utf8');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(Math.min(size, largestOctal), 124, 12);
  octal(mtimeSeconds, 136, 12);
  header.write('        ', 148, 'latin1');
  header.write(flag, 156, 'latin1');
  header.write(target, 157, longestName, 'utf8');
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

function wrong(path: string, how: string, cause?: unknown): HoldfastError {
  return new HoldfastError('InvalidArgument', `copyLocal: ${path} ${how}`, cause === undefined ? {} : { cause });
}
