import type { BuildEvent } from '../../common/image-build.js';

/** Who waits for a build. */
export interface BuildWatch {
  readonly onEvent: (event: BuildEvent) => void;
  readonly signal: AbortSignal;
}

/**
 * One step of a build for all who wait for it.
 *
 * I1. It is given up when the last one who waits has left, and nobody joins it from then on.
 * I2. Who leaves as the last one waits until nothing of it is left.
 */
export class SharedBuild {
  readonly #watches = new Set<BuildWatch>();
  readonly #abort = new AbortController();
  readonly #result: Promise<string>;
  #isOver = false;

  constructor(work: (watch: BuildWatch) => Promise<string>) {
    const onEvent = (event: BuildEvent): void => {
      for (const watch of this.#watches) watch.onEvent(event);
    };
    this.#result = Promise.resolve()
      .then(() => work({ onEvent, signal: this.#abort.signal }))
      .finally(() => {
        this.#isOver = true;
      });
    this.#result.catch(() => undefined); // told to those who wait
  }

  /** Nobody can join it any more (I1). */
  get isOver(): boolean {
    return this.#isOver || this.#abort.signal.aborted;
  }

  /** @throws what went wrong, the signal's reason */
  async join(watch: BuildWatch): Promise<string> {
    const { signal } = watch;
    signal.throwIfAborted();
    this.#watches.add(watch);
    let leave = (): void => undefined;
    const left = new Promise<null>((resolve) => {
      leave = () => resolve(null);
    });
    signal.addEventListener('abort', leave, { once: true });
    try {
      const image = await Promise.race([this.#result, left]);
      if (image !== null) return image;
    } finally {
      signal.removeEventListener('abort', leave);
      this.#watches.delete(watch);
      await this.#giveUp(signal);
    }
    throw signal.reason;
  }

  /** Resolves when nothing of it is left. */
  async end(reason: unknown): Promise<void> {
    this.#abort.abort(reason);
    await this.#result.catch(() => undefined); // told to those who wait
  }

  async #giveUp(signal: AbortSignal): Promise<void> {
    if (this.#watches.size === 0 && !this.#isOver) await this.end(signal.reason);
  }
}
