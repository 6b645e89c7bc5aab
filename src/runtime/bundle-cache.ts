import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../common/errors.js';
import type { ObjectStore } from '../common/ports/object-store.js';

/** Bundles as files on this host, by content hash; containers verify the hash again before they load one. */
export class BundleCache {
  readonly #folder: string;
  readonly #objects: ObjectStore;
  readonly #fetching = new Map<string, Promise<string>>();

  constructor(folder: string, objects: ObjectStore) {
    this.#folder = folder;
    this.#objects = objects;
  }

  /** Path of the bundle's file. @throws NotFound, Unavailable */
  path(sha256: string): Promise<string> {
    const known = this.#fetching.get(sha256);
    if (known !== undefined) return known;
    const fetching = this.#fetch(sha256);
    this.#fetching.set(sha256, fetching);
    fetching.catch(() => this.#fetching.delete(sha256));
    return fetching;
  }

  async #fetch(sha256: string): Promise<string> {
    const path = join(this.#folder, `${sha256}.mjs`);
    const onDisk = await readFile(path).catch(() => null); // not there yet
    if (onDisk !== null && hashOf(onDisk) === sha256) return path;
    const bytes = await this.#objects.get(`bundles/${sha256}`);
    if (bytes === null || hashOf(bytes) !== sha256) {
      const what = bytes === null ? 'is not in the object store' : 'is damaged in the object store';
      throw new HoldfastError('NotFound', `bundle ${sha256.slice(0, 12)} ${what}; deploy the app again`);
    }
    await mkdir(this.#folder, { recursive: true });
    const partial = `${path}.${process.pid}.partial`;
    await writeFile(partial, bytes);
    await rename(partial, path);
    return path;
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
