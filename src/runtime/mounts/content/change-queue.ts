/** Changes that are made one after the other, in the order in which they were asked for. */
export class ChangeQueue {
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  /** Nobody is before whoever comes now. */
  get isEmpty(): boolean {
    return this.#waiting === 0;
  }

  async inTurn(change: () => Promise<void>): Promise<void> {
    this.#waiting += 1;
    const mine = this.#last.then(change);
    this.#last = mine.catch(() => undefined); // told to whoever asked for it
    try {
      await mine;
    } finally {
      this.#waiting -= 1;
    }
  }
}
