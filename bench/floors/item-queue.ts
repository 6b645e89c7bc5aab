/** Items on their way to a reader that may be slower; what waits is bounded by the length of the generator. */
export class ItemQueue implements AsyncIterable<number> {
  #items: (number | null)[] = [];
  #wake: (() => void) | null = null;

  /** @param item null: the end */
  push(item: number | null): void {
    this.#items.push(item);
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<number, void, undefined> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      for (const item of items) {
        if (item === null) return;
        yield item;
      }
      if (this.#items.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
