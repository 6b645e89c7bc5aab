import { createHash } from 'node:crypto';
import { access, chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { Bundles } from '../worker-options.js';

let partials = 0;

/** Bundles as files on this host, by content hash; containers verify the hash again before they load one. */
export class BundleCache implements Bundles {
  readonly #folder: string;
  readonly #objects: ObjectStore;
  readonly #fetching = new Map<string, Promise<string>>();
  /** Whose files were seen to be whole. */
  readonly #checked = new Set<string>();

  constructor(folder: string, objects: ObjectStore) {
    this.#folder = folder;
    this.#objects = objects;
  }

  /** Path of the bundle's file. @throws NotFound, Unavailable */
  path(sha256: string): Promise<string> {
    const underway = this.#fetching.get(sha256);
    if (underway !== undefined) return underway;
    const fetching = this.#find(sha256).finally(() => this.#fetching.delete(sha256));
    this.#fetching.set(sha256, fetching);
    return fetching;
  }

  async #find(sha256: string): Promise<string> {
    const path = join(this.#folder, `${sha256}.mjs`);
    if (!(await this.#isThere(path, sha256))) await this.#fetch(path, sha256);
    this.#checked.add(sha256);
    return path;
  }

  /** Somebody may have swept the folder, or the host may have died in the middle of a write. */
  async #isThere(path: string, sha256: string): Promise<boolean> {
    if (!this.#checked.has(sha256)) {
      const onDisk = await readFile(path).catch(() => null); // not there yet
      return onDisk !== null && hashOf(onDisk) === sha256;
    }
    return access(path).then(
      () => true,
      () => false,
    );
  }

  async #fetch(path: string, sha256: string): Promise<void> {
    const bytes = await this.#objects.get(`bundles/${sha256}`);
    if (bytes === null || hashOf(bytes) !== sha256) {
      const what = bytes === null ? 'is not in the object store' : 'is damaged in the object store';
      throw new HoldfastError('NotFound', `bundle ${sha256.slice(0, 12)} ${what}; deploy the app again`);
    }
    await mkdir(this.#folder, { recursive: true });
    // A boot before this one, in the same process, may be at it too.
    partials += 1;
    const partial = `${path}.${process.pid}.${partials}.partial`;
    await writeFile(partial, bytes);
    // Isolated containers read it as other users.
    await chmod(partial, 0o644);
    await rename(partial, path);
  }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
