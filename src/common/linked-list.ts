/** An item that can be in one list at a time; its fields are the list's. */
export interface Linked<T> {
  list: LinkedList<T> | null;
  previous: T | null;
  next: T | null;
}

/**
 * Items in the order in which they came, of which any can leave. A Set would do the same, but it makes a new table every few items
 * when they come and go, which garbage collection then keeps for long.
 */
export class LinkedList<T> {
  #first: (T & Linked<T>) | null = null;
  #last: (T & Linked<T>) | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that has been here longest. */
  get first(): (T & Linked<T>) | null {
    return this.#first;
  }

  /** @param item that is in no list */
  push(item: T & Linked<T>): void {
    item.list = this;
    item.previous = this.#last;
    if (this.#last === null) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
    this.#size += 1;
  }

  has(item: T & Linked<T>): boolean {
    return item.list === this;
  }

  /** False: it was not here. */
  delete(item: T & Linked<T>): boolean {
    if (item.list !== this) return false;
    const previous = item.previous as (T & Linked<T>) | null;
    const next = item.next as (T & Linked<T>) | null;
    if (previous === null) this.#first = next;
    else previous.next = next;
    if (next === null) this.#last = previous;
    else next.previous = previous;
    item.list = null;
    item.previous = null;
    item.next = null;
    this.#size -= 1;
    return true;
  }

  items(): T[] {
    const items: T[] = [];
    for (let item = this.#first; item !== null; item = item.next as (T & Linked<T>) | null) items.push(item);
    return items;
  }
}
