/** What the mounts of one container may keep on this host until it is committed; also of files that have no name any more. */
export class LocalBudget {
  readonly maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  get freeBytes(): number {
    return Math.max(0, this.maxBytes - this.#bytes);
  }

  /** @param bytes negative: given back */
  count(bytes: number): void {
    this.#bytes += bytes;
  }
}
