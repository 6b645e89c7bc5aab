const firstCapacity = 64;
const mostCapacity = 65_536;

/**
 * What is under way, by its number, where numbers are given one after the other.
 *
 * A Map never uses the place of a deleted entry again, so with entries that come and go it makes a new table every few calls. Each
 * old table points at the next one, and one that has become old keeps all later ones alive through every scavenge: with Maps in
 * this place garbage collection took a fifth of a container's time, with this table it takes a hundredth.
 *
 * I1. An entry is in its place, `ref` modulo the capacity, or, where that is taken, in the overflow, and never in both.
 */
export class RefTable<T> {
  #refs: (number | undefined)[] = new Array(firstCapacity).fill(undefined);
  #items: (T | undefined)[] = new Array(firstCapacity).fill(undefined);
  /** Those that outlast very many others. */
  readonly #overflow = new Map<number, T>();
  #inPlace = 0;
  /** The most in their places since there was none. */
  #peak = 0;

  get size(): number {
    return this.#inPlace + this.#overflow.size;
  }

  get(ref: number): T | undefined {
    const at = ref % this.#refs.length;
    if (this.#refs[at] === ref) return this.#items[at];
    return this.#overflow.size === 0 ? undefined : this.#overflow.get(ref);
  }

  has(ref: number): boolean {
    return this.#refs[ref % this.#refs.length] === ref || (this.#overflow.size > 0 && this.#overflow.has(ref));
  }

  set(ref: number, item: T): void {
    if (this.#overflow.size > 0 && this.#overflow.has(ref)) return void this.#overflow.set(ref, item);
    const isFilling = this.#inPlace * 2 >= this.#refs.length && this.#refs.length < mostCapacity;
    if (isFilling) this.#grow();
    const at = ref % this.#refs.length;
    const there = this.#refs[at];
    if (there !== undefined && there !== ref) return void this.#overflow.set(ref, item);
    if (there === undefined) this.#inPlace += 1;
    if (this.#inPlace > this.#peak) this.#peak = this.#inPlace;
    this.#refs[at] = ref;
    this.#items[at] = item;
  }

  /** False: it was not there. */
  delete(ref: number): boolean {
    const at = ref % this.#refs.length;
    if (this.#refs[at] !== ref) return this.#overflow.size > 0 && this.#overflow.delete(ref);
    this.#refs[at] = undefined;
    this.#items[at] = undefined;
    this.#inPlace -= 1;
    if (this.#inPlace === 0) this.#emptied();
    return true;
  }

  clear(): void {
    this.#refs.fill(undefined);
    this.#items.fill(undefined);
    this.#overflow.clear();
    this.#inPlace = 0;
  }

  /** By their numbers, which is the order in which they came. */
  values(): T[] {
    const found = [...this.#overflow];
    for (const [at, ref] of this.#refs.entries()) if (ref !== undefined) found.push([ref, this.#items[at] as T]);
    return found.sort(([a], [b]) => a - b).map(([, item]) => item);
  }

  /** Half of it goes where an eighth was enough since it was empty before: what a burst needed is given back, bit by bit. */
  #emptied(): void {
    const capacity = this.#refs.length / 2;
    if (capacity >= firstCapacity && this.#peak * 8 < this.#refs.length) {
      this.#refs = new Array(capacity).fill(undefined);
      this.#items = new Array(capacity).fill(undefined);
    }
    this.#peak = 0;
  }

  #grow(): void {
    const refs = this.#refs;
    const items = this.#items;
    const capacity = refs.length * 2;
    this.#refs = new Array(capacity).fill(undefined);
    this.#items = new Array(capacity).fill(undefined);
    for (const [at, ref] of refs.entries()) {
      if (ref === undefined) continue;
      this.#refs[ref % capacity] = ref;
      this.#items[ref % capacity] = items[at];
    }
  }
}
