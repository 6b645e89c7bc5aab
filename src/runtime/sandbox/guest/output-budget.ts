/** Bytes of output that may be kept in this process: of one session, within those of all. */
export class OutputBudget {
  readonly #parent: OutputBudget | null;
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number, parent: OutputBudget | null = null) {
    this.#maxBytes = maxBytes;
    this.#parent = parent;
  }

  /** False: there is no room, and nothing was taken. */
  take(bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#maxBytes || !(this.#parent?.take(bytes) ?? true)) return false;
    this.#usedBytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
    this.#parent?.give(bytes);
  }

  /** All of it: its session has ended. */
  close(): void {
    this.give(this.#usedBytes);
  }
}
