/** Containers of a pool that were lost with the worker that lent them, until nothing of the pool runs in them any more (P7). */
export class LostContainers {
  readonly #gone = new Set<Promise<void>>();

  get size(): number {
    return this.#gone.size;
  }

  /** @param gone when none of its code runs; never rejects @param ended called after that */
  add(gone: Promise<void>, ended: () => void): void {
    const lost = gone.then(() => {
      this.#gone.delete(lost);
      ended();
    });
    this.#gone.add(lost);
  }

  /** Resolves when there are none. */
  async none(): Promise<void> {
    while (this.#gone.size > 0) await Promise.all(this.#gone);
  }
}
