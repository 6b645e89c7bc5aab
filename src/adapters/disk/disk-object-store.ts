import { randomUUID } from 'node:crypto';
import { constants, existsSync, mkdirSync, statSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { checkedKey } from '../object-key.js';

/** Beside the objects, because a rename is atomic within a file system only; no key starts with a dot. */
const unfinished = '.unfinished';

/**
 * An object store in a folder that all routers and workers reach.
 * @throws Unavailable when the folder cannot be made
 */
export function createDiskObjectStore({ folder }: { readonly folder: string }): ObjectStore {
  try {
    makeFolder(join(folder, unfinished));
  } catch (cause) {
    throw failed(folder, 'making the folder', cause);
  }
  const within = async <T>(what: string, action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (cause) {
      throw failed(folder, what, cause);
    }
  };
  return {
    put: (key, bytes) => within(`storing ${key}`, () => putFile(folder, checkedKey(key), bytes)),
    get: (key) => within(`reading ${key}`, () => readRange(join(folder, checkedKey(key)), 0)),
    getRange: (key, offset, length) =>
      within(`reading ${key}`, () => readRange(join(folder, checkedKey(key)), offset, length)),
    has: (key) =>
      within(`looking for ${key}`, async () => {
        const found = await stat(join(folder, checkedKey(key))).catch(nullWhereAbsent);
        return found?.isFile() ?? false;
      }),
    delete: async (key) => {
      await within(`deleting ${key}`, () => unlink(join(folder, checkedKey(key))).catch(nullWhereAbsent));
    },
    list: (below) => listFiles(folder, checkedKey(below), within),
    pathOf: (key) => join(folder, checkedKey(key)),
    presigner: null,
  };
}

/** Node's own recursive mkdir never returns where a file system makes no folders and says that they do not exist, as /proc does. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && !existsSync(dirname(path))) {
      makeFolder(dirname(path));
      makeFolder(path);
    } else if (code !== 'EEXIST' || !statSync(path).isDirectory()) {
      throw error;
    }
  }
}

/** A page for each folder. */
async function* listFiles(
  folder: string,
  key: string,
  within: <T>(what: string, action: () => Promise<T>) => Promise<T>,
): AsyncGenerator<string[], void, undefined> {
  const read = () => readdir(join(folder, key), { withFileTypes: true }).catch(nullWhereAbsent);
  const entries = (await within(`listing ${key}`, read)) ?? [];
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => `${key}/${name}`);
  if (files.length > 0) yield files;
  for (const entry of entries) if (entry.isDirectory()) yield* listFiles(folder, `${key}/${entry.name}`, within);
}

async function putFile(folder: string, key: string, bytes: Uint8Array): Promise<void> {
  const path = join(folder, key);
  const temporary = join(folder, unfinished, randomUUID());
  try {
    await writeAndSync(temporary, bytes);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  // Without this a power cut may forget the new name, after a manifest has named it.
  const parent = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

/** In one piece: a file may be long, and what Node reads by itself comes in small ones. @param length default: to the end */
async function readRange(path: string, offset: number, length?: number): Promise<Uint8Array | null> {
  const file = await open(path, constants.O_RDONLY).catch(nullWhereAbsent);
  if (file === null) return null;
  try {
    const most = length ?? (await file.stat()).size;
    // What does not know how long it is.
    if (length === undefined && most === 0) return await file.readFile();
    const buffer = Buffer.allocUnsafeSlow(most);
    let read = 0;
    while (read < most) {
      const { bytesRead } = await file.read(buffer, read, most - read, offset + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return buffer.subarray(0, read);
  } catch (error) {
    return nullWhereAbsent(error as NodeJS.ErrnoException);
  } finally {
    await file.close();
  }
}

async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

function nullWhereAbsent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'EISDIR') return null;
  throw error;
}

function failed(folder: string, what: string, cause: unknown): HoldfastError {
  if (isHoldfastError(cause)) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  const advice = 'check that it is writable and its disk has room';
  return new HoldfastError('Unavailable', `${what} in the object store ${folder} failed (${why}): ${advice}`, {
    outcome: 'unknown',
    cause,
  });
}
