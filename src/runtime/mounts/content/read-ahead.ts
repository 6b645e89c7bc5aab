import { ReadWindow } from '../read-window.js';
import type { WantedChunk } from './chunk-cache.js';
import type { ContentCache } from './content-cache.js';

/** Fetches the chunks of a file before its reader comes to them. */
export class ReadAhead {
  readonly #cache: ContentCache;
  readonly #chunk: (index: number) => WantedChunk | null;
  readonly #window = new ReadWindow();

  /** @param chunk what is to be fetched of the file; null: nothing */
  constructor(cache: ContentCache, chunk: (index: number) => WantedChunk | null) {
    this.#cache = cache;
    this.#chunk = chunk;
  }

  /** Somebody reads up to `end`, in the chunk with that index. */
  read(at: { readonly offset: number; readonly end: number; readonly index: number }): void {
    const last = at.index + this.#window.after(at);
    let left = this.#cache.aheadBytes;
    for (let next = at.index + 1; next <= last; next += 1) {
      const chunk = this.#chunk(next);
      left -= chunk?.bytes ?? 0;
      if (left < 0) return;
      if (chunk !== null && this.#cache.pathOf(chunk.hash) === null) this.#cache.fetchAhead(chunk);
    }
  }
}
