import type { LoadedClass } from './loaded-class.js';

/** Containers with room for more instances, by the label of their class. */
export class OpenPlaces<C extends { readonly klass: LoadedClass; readonly places: number }> {
  readonly #byLabel = new Map<string, Set<C>>();

  add(container: C): void {
    const { label } = container.klass;
    const open = this.#byLabel.get(label);
    if (open === undefined) this.#byLabel.set(label, new Set([container]));
    else open.add(container);
  }

  remove(container: C): void {
    const { label } = container.klass;
    const open = this.#byLabel.get(label);
    if (open?.delete(container) && open.size === 0) this.#byLabel.delete(label);
  }

  /** The one that has had room for longest. */
  one(label: string): C | undefined {
    const [first] = this.#byLabel.get(label) ?? [];
    return first;
  }

  count(label: string): number {
    let places = 0;
    for (const container of this.#byLabel.get(label) ?? []) places += container.places;
    return places;
  }

  counts(): Record<string, number> {
    return Object.fromEntries([...this.#byLabel.keys()].map((label) => [label, this.count(label)]));
  }
}
