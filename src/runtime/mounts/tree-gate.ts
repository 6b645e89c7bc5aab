/**
 * Many may look at a tree and change it at once; who gives it another base is alone. Who comes while one waits to be alone
 * comes after it.
 */
export class TreeGate {
  #inside = 0;
  #alone: Promise<void> | null = null;
  #whenEmpty: (() => void) | null = null;

  async shared<T>(work: () => T | Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone;
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Whether nobody is alone, or waits for it: then what takes no time needs no turn. */
  get isOpen(): boolean {
    return this.#alone === null;
  }

  async alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#alone !== null) await this.#alone;
    let open = (): void => undefined;
    this.#alone = new Promise((resolve) => {
      open = resolve;
    });
    try {
      if (this.#inside > 0)
        await new Promise<void>((resolve) => {
          this.#whenEmpty = resolve;
        });
      return await work();
    } finally {
      this.#alone = null;
      open();
    }
  }

  #leave(): void {
    this.#inside -= 1;
    if (this.#inside > 0) return;
    this.#whenEmpty?.();
    this.#whenEmpty = null;
  }
}
