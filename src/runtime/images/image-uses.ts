import type { Clock, Timer } from '../../common/clock.js';
import type { ImageStore } from '../../common/images/image-store.js';

/** A small part of the time that an image stays after it was used last. */
const everyMs = 3_600_000;

/** Says again and again, in the object store, which images something of this worker stands on: those are not swept. */
export class ImageUses {
  readonly #clock: Clock;
  readonly #store: Pick<ImageStore, 'used'>;
  /** By image, of those that stand on it. */
  readonly #counts = new Map<string, number>();
  #timer: Timer | null = null;
  #isClosed = false;

  constructor({ clock, store }: { readonly clock: Clock; readonly store: Pick<ImageStore, 'used'> }) {
    this.#clock = clock;
    this.#store = store;
  }

  /** @returns to be called when it stands on it no more; idempotent */
  add(image: string): () => void {
    const count = this.#counts.get(image) ?? 0;
    this.#counts.set(image, count + 1);
    if (count === 0) void this.#tell([image]);
    this.#arm();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      const left = (this.#counts.get(image) ?? 1) - 1;
      if (left === 0) this.#counts.delete(image);
      else this.#counts.set(image, left);
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  /** Until nothing stands on any. */
  #arm(): void {
    if (this.#timer !== null || this.#isClosed) return;
    this.#timer = this.#clock.after(everyMs, () => {
      this.#timer = null;
      if (this.#counts.size === 0) return;
      void this.#tell([...this.#counts.keys()]);
      this.#arm();
    });
  }

  async #tell(images: readonly string[]): Promise<void> {
    for (const image of images) {
      if (this.#isClosed) return;
      await this.#store.used(image).catch(() => undefined); // the store is away: next time
    }
  }
}
