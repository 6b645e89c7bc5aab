import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, posix } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { tarBlock, tarHeaders, tarPadding } from '../../common/tar-header.js';

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

const mostEntries = 1_000_000;
const modes = { file: 0o644, executable: 0o755, folder: 0o755, link: 0o777 };

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
  yield new Uint8Array(2 * tarBlock);
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
  yield tarPadding(size);
}

function headersOf({ name, type, isExecutable, size, target }: Entry): Uint8Array {
  const mode = type === 'file' && isExecutable ? modes.executable : modes[type];
  return tarHeaders({ name, type, mode, size, target });
}

function wrong(path: string, how: string, cause?: unknown): HoldfastError {
  return new HoldfastError('InvalidArgument', `copyLocal: ${path} ${how}`, cause === undefined ? {} : { cause });
}
