import { mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Hash } from '../../../common/volumes/entry.js';
import { FetchRoom } from './fetch-room.js';

/** Of one file, of the chunks that nobody has asked for yet. */
const mostAheadBytes = 67_108_864;
/** Of the whole cache, for the same. */
const aheadShare = 8;

export interface ChunkCacheOptions {
  /** Of its own; made where it is missing. */
  readonly folder: string;
  readonly maxBytes: number;
}

/** What is to be fetched, and how long it is. */
export interface WantedChunk {
  readonly hash: Hash;
  readonly bytes: number;
}

/** Writes the bytes of a chunk, compared with its hash, to a new file; how many there are. */
export type BringChunk = (hash: Hash, path: string) => Promise<number>;

/**
 * Chunks of all mounts of a host, as files by their hash: each is fetched once, however many want it. Beyond `maxBytes` those
 * that were not used for the longest time go.
 */
export class ChunkCache {
  readonly #options: ChunkCacheOptions;
  readonly #files: LRUCache<Hash, string>;
  readonly #underway = new Map<Hash, Promise<void>>();
  readonly #room = new FetchRoom();

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

  /** How many bytes beyond what a reader has asked for are worth fetching before he does. */
  get aheadBytes(): number {
    return Math.min(mostAheadBytes, Math.floor(this.#options.maxBytes / aheadShare));
  }

  /**
   * Brings it here. It may go again before the next turn of the event loop.
   *
   * @throws what `bring` throws
   */
  fetch(chunk: WantedChunk, bring: BringChunk): Promise<void> {
    const { hash } = chunk;
    if (this.#files.has(hash)) return Promise.resolve();
    const known = this.#underway.get(hash);
    if (known !== undefined) return known;
    const fetching = this.#room
      .within(chunk.bytes, () => this.#fetch(hash, bring))
      .finally(() => this.#underway.delete(hash));
    this.#underway.set(hash, fetching);
    return fetching;
  }

  /** The same of what somebody may want soon, and only while nobody waits for what he wants now. */
  fetchAhead(chunk: WantedChunk, bring: BringChunk): void {
    if (!this.#room.has(chunk.bytes)) return;
    // Its failure is for whoever comes to it.
    this.fetch(chunk, bring).catch(() => undefined);
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

  async #fetch(hash: Hash, bring: BringChunk): Promise<void> {
    const partial = `${this.#pathFor(hash)}.partial`;
    const length = await bring(hash, partial);
    renameSync(partial, this.#pathFor(hash));
    this.#add(hash, this.#pathFor(hash), length);
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
