import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { ImageStore, StoredLayer } from '../../common/images/image-store.js';
import type { IsolationBackend, LayerTool } from '../../common/ports/sandbox.js';
import { removeFolder } from '../process/remove-folder.js';

export interface LayerCacheOptions {
  /** Made when it is needed; its parents go with the boot. */
  readonly folder: string;
  readonly store: ImageStore;
  readonly backend: Pick<IsolationBackend, 'unpack'>;
  /** Of the layers' tars, together. */
  readonly maxBytes: number;
}

/** Layers that stay as long as they are held. */
export interface HeldLayers {
  /** In the order in which they were asked for. */
  readonly folders: readonly string[];
  /** Idempotent. */
  release(): void;
}

interface Cached {
  readonly folder: string;
  /** Of those who hold it, or wait for it. */
  holders: number;
  /** Counted from before the first byte is fetched. */
  bytes: number;
  readonly ready: Promise<void>;
}

/**
 * Unpacked layers on this host, each fetched once for all who ask for it.
 *
 * I1. What is held is never removed, and nobody else writes in it.
 * I2. What is here and what is on its way here is at most `maxBytes`; who would need more is refused.
 */
export class LayerCache {
  readonly #options: LayerCacheOptions;
  /** The least recently used first. */
  readonly #layers = new Map<string, Cached>();
  readonly #tools = new Set<LayerTool>();
  #folders = 0;
  #isClosed = false;

  constructor(options: LayerCacheOptions) {
    this.#options = options;
  }

  /** @throws NotFound, NoCapacity, Unavailable */
  async hold(hashes: readonly string[]): Promise<HeldLayers> {
    const held = hashes.map((hash) => this.#hold(hash));
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      for (const layer of held) layer.holders -= 1;
    };
    const settled = await Promise.allSettled(held.map(({ ready }) => ready));
    const failed = settled.find((result) => result.status === 'rejected');
    if (failed === undefined) return { folders: held.map(({ folder }) => folder), release };
    release();
    throw failed.reason;
  }

  /** Gives up what is on its way. Resolves when nobody writes any more; the folder is its owner's to remove. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const tool of this.#tools) tool.kill();
    await Promise.allSettled([...this.#layers.values()].map(({ ready }) => ready));
  }

  #hold(hash: string): Cached {
    const known = this.#layers.get(hash);
    const layer = known ?? this.#begin(hash);
    layer.holders += 1;
    this.#layers.delete(hash);
    this.#layers.set(hash, layer);
    return layer;
  }

  #begin(hash: string): Cached {
    // Its own, also where an older one of the same layer is just being removed.
    this.#folders += 1;
    const folder = join(this.#options.folder, `${hash}.${this.#folders}`);
    const layer: Cached = {
      folder,
      holders: 0,
      bytes: 0,
      ready: Promise.resolve().then(() => this.#fetch(hash, layer)),
    };
    // The next one tries again.
    layer.ready.catch(() => this.#layers.delete(hash));
    return layer;
  }

  async #fetch(hash: string, layer: Cached): Promise<void> {
    const { store, folder } = this.#options;
    const stored = await store.layer(hash);
    await this.#makeRoom(hash, stored.bytes);
    layer.bytes = stored.bytes;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    try {
      await this.#unpack(layer.folder, stored);
    } catch (e) {
      await removeFolder(layer.folder);
      throw e;
    }
  }

  async #unpack(folder: string, stored: StoredLayer): Promise<void> {
    const { store, backend } = this.#options;
    const tool = await backend.unpack(folder);
    this.#tools.add(tool);
    if (this.#isClosed) tool.kill();
    try {
      await feed(store.read(stored), tool);
    } finally {
      this.#tools.delete(tool);
    }
  }

  /** Removes what nobody holds, the least recently used first (I1, I2). */
  async #makeRoom(hash: string, bytes: number): Promise<void> {
    const { maxBytes } = this.#options;
    const removing: Promise<void>[] = [];
    let used = [...this.#layers.values()].reduce((sum, layer) => sum + layer.bytes, 0);
    for (const [other, layer] of [...this.#layers]) {
      if (used + bytes <= maxBytes) break;
      if (layer.holders > 0) continue;
      used -= layer.bytes;
      this.#layers.delete(other);
      removing.push(removeFolder(layer.folder));
    }
    if (used + bytes > maxBytes) {
      await Promise.all(removing);
      throw new HoldfastError(
        'NoCapacity',
        `layer ${hash.slice(0, 12)} of ${bytes} bytes finds no room: sessions that run here stand on ${used} of ${maxBytes}; close some, or start the worker with more --image-cache-gb`,
        { details: { bytes, usedBytes: used, maxBytes } },
      );
    }
    await Promise.all(removing);
  }
}

/** @throws what reading the tar throws, else what the tool says */
async function feed(tar: AsyncIterable<Uint8Array>, tool: LayerTool): Promise<void> {
  try {
    await pipeline(Readable.from(tar), tool.input);
  } catch (e) {
    if (isHoldfastError(e)) {
      tool.kill();
      await tool.done.catch(() => undefined); // killed
      throw e;
    }
    // It stopped reading: at the end of the tar, or because it failed, which it says itself.
  }
  await tool.done;
}
