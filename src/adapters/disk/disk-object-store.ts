import { randomUUID } from 'node:crypto';
import { constants, mkdirSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';

/** Beside the objects, because a rename is atomic within a file system only; no key starts with a dot. */
const unfinished = '.unfinished';

/**
 * An object store in a folder that all routers and workers reach.
 * @throws Unavailable when the folder cannot be made
 */
export function createDiskObjectStore({ folder }: { readonly folder: string }): ObjectStore {
  try {
    mkdirSync(join(folder, unfinished), { recursive: true, mode: 0o700 });
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
    get: (key) => within(`reading ${key}`, () => readFile(join(folder, checkedKey(key))).catch(nullWhereAbsent)),
    has: (key) =>
      within(`looking for ${key}`, async () => {
        const found = await stat(join(folder, checkedKey(key))).catch(nullWhereAbsent);
        return found?.isFile() ?? false;
      }),
    delete: async (key) => {
      await within(`deleting ${key}`, () => unlink(join(folder, checkedKey(key))).catch(nullWhereAbsent));
    },
  };
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

async function writeAndSync(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

// A key is a path: only what cannot leave the folder, or meet an unfinished file, is one.
function checkedKey(key: string): string {
  const segments = key.split('/');
  if (key.length <= 1_024 && segments.every((segment) => /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$/.test(segment)))
    return key;
  throw new HoldfastError(
    'InvalidArgument',
    `${JSON.stringify(key)} is not the key of an object: expected names of A-Z, a-z, 0-9, \`.\`, \`_\`, \`-\`, none of which starts with a dot, with a single \`/\` between them`,
  );
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
