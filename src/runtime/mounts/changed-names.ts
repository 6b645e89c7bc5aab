import type { MountNode } from './overlay/overlay-node.js';

/** How many changed names are in memory. */
export interface NameCount {
  add(names: number): void;
}

/** Names of a directory that are, or may be, something else than in its base; null: nothing any more. */
export class ChangedNames {
  readonly #nodes = new Map<string, MountNode | null>();
  readonly #count: NameCount;

  constructor(count: NameCount) {
    this.#count = count;
  }

  get size(): number {
    return this.#nodes.size;
  }

  /** Undefined: as in the base. */
  get(name: string): MountNode | null | undefined {
    return this.#nodes.get(name);
  }

  has(name: string): boolean {
    return this.#nodes.has(name);
  }

  set(name: string, node: MountNode | null): void {
    if (!this.#nodes.has(name)) this.#count.add(1);
    this.#nodes.set(name, node);
  }

  delete(name: string): void {
    if (this.#nodes.delete(name)) this.#count.add(-1);
  }

  clear(): void {
    this.#count.add(-this.#nodes.size);
    this.#nodes.clear();
  }

  keys(): IterableIterator<string> {
    return this.#nodes.keys();
  }

  values(): IterableIterator<MountNode | null> {
    return this.#nodes.values();
  }

  [Symbol.iterator](): IterableIterator<[string, MountNode | null]> {
    return this.#nodes.entries();
  }
}
