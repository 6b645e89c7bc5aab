const mostAtOnce = 12;
/** In memory until they are files; one larger chunk goes alone. */
const mostBytes = 134_217_728;

/** Room for chunks on their way here; who finds none waits, in the order of coming. */
export class FetchRoom {
  readonly #waiting: { readonly bytes: number; readonly enter: () => void }[] = [];
  #inside = 0;
  #insideBytes = 0;

  /** Whether somebody who came now would not have to wait. */
  has(bytes: number): boolean {
    return this.#waiting.length === 0 && this.#fits(bytes);
  }

  async within<T>(bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.has(bytes)) this.#take(bytes);
    else await new Promise<void>((enter) => this.#waiting.push({ bytes, enter }));
    try {
      return await work();
    } finally {
      this.#leave(bytes);
    }
  }

  #fits(bytes: number): boolean {
    if (this.#inside === 0) return true;
    return this.#inside < mostAtOnce && this.#insideBytes + bytes <= mostBytes;
  }

  #take(bytes: number): void {
    this.#inside += 1;
    this.#insideBytes += bytes;
  }

  #leave(bytes: number): void {
    this.#inside -= 1;
    this.#insideBytes -= bytes;
    for (let first = this.#waiting[0]; first !== undefined && this.#fits(first.bytes); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#take(first.bytes);
      first.enter();
    }
  }
}
