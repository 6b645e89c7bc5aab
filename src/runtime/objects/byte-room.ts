interface Waiting {
  readonly bytes: number;
  readonly enter: () => void;
}

/** Memory for what is on its way, in bytes. Who finds too little waits, in the order of coming. */
export class ByteRoom {
  #freeBytes: number;
  readonly #waiting: Waiting[] = [];

  constructor(bytes: number) {
    this.#freeBytes = bytes;
  }

  /** @param bytes no more than there is room for at all. @throws the signal's reason */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#waiting.length === 0 && bytes <= this.#freeBytes) {
      this.#freeBytes -= bytes;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason as Error);
        // It may have stood before others that fit.
        this.#next();
      };
      const enter = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const waiting: Waiting = { bytes, enter };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
    this.#next();
  }

  #next(): void {
    for (
      let first = this.#waiting[0];
      first !== undefined && first.bytes <= this.#freeBytes;
      first = this.#waiting[0]
    ) {
      this.#waiting.shift();
      this.#freeBytes -= first.bytes;
      first.enter();
    }
  }
}
