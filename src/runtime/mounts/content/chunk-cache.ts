import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Hash } from '../../../common/volumes/entry.js';

/** Each is a chunk in memory. */
const fetchesAtOnce = 6;

export interface ChunkCacheOptions {
  /** Of its own; made where it is missing. */
  readonly folder: string;
  readonly maxBytes: number;
}

/**
 * Chunks of all mounts of a host, as files by their hash: each is fetched once, however many want it. Beyond `maxBytes` those
 * that were not used for the longest time go.
 */
export class ChunkCache {
  readonly #options: ChunkCacheOptions;
  readonly #files: LRUCache<Hash, string>;
  readonly #underway = new Map<Hash, Promise<void>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: ChunkCacheOptions) {
    this.#options = options;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    this.#files = new LRUCache({
      maxSize: options.maxBytes,
      dispose: (path, _hash, why) => {
        if (why !== 'set') rmSync(path, { force: true });
      },
    });
  }

  /** The path of a chunk, to be opened before anything else is awaited; null: it is not here. */
  pathOf(hash: Hash): string | null {
    return this.#files.get(hash) ?? null;
  }

  /**
   * Brings it here. It may go again before the next turn of the event loop.
   *
   * @param read its bytes, compared with the hash
   * @throws what `read` throws
   */
  fetch(hash: Hash, read: () => Promise<Uint8Array>): Promise<void> {
    if (this.#files.has(hash)) return Promise.resolve();
    const known = this.#underway.get(hash);
    if (known !== undefined) return known;
    const fetching = this.#fetch(hash, read).finally(() => this.#underway.delete(hash));
    this.#underway.set(hash, fetching);
    return fetching;
  }

  /** Takes over the file of a chunk that was written here; its bytes are what the hash is of. */
  adopt(hash: Hash, chunk: { readonly path: string } | { readonly bytes: Uint8Array }): void {
    if (this.#files.has(hash)) return;
    const path = this.#pathFor(hash);
    try {
      if ('path' in chunk) renameSync(chunk.path, path);
      else writeFileSync(path, chunk.bytes);
    } catch {
      // No room: it is stored, and can be fetched.
      rmSync(path, { force: true });
      return;
    }
    this.#add(hash, path, statSync(path).size);
  }

  async #fetch(hash: Hash, read: () => Promise<Uint8Array>): Promise<void> {
    if (this.#running >= fetchesAtOnce) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      const bytes = await read();
      const partial = `${this.#pathFor(hash)}.partial`;
      await writeFile(partial, bytes);
      renameSync(partial, this.#pathFor(hash));
      this.#add(hash, this.#pathFor(hash), bytes.length);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #add(hash: Hash, path: string, bytes: number): void {
    this.#files.set(hash, path, { size: Math.max(1, bytes) });
    // The cache refuses what is larger than all of it.
    if (!this.#files.has(hash)) rmSync(path, { force: true });
  }

  #pathFor(hash: Hash): string {
    return join(this.#options.folder, hash);
  }
}
