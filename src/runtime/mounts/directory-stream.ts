import type { DirectoryEntry, Entry } from '../../common/volumes/entry.js';
import type { DirectoryNode, MountNode } from './overlay/overlay-node.js';

/** A name in a directory; `node` is what it is where that is known, else `entry` says it. */
export interface Listed {
  readonly name: string;
  readonly what: MountNode | Entry | 'self' | 'parent';
}

/**
 * A directory as somebody reads it, from its begin on; who goes back begins anew. What is changed meanwhile may or may not be
 * in it; what is not, is in it once.
 */
export class DirectoryStream {
  readonly directory: DirectoryNode;
  /** What the entries that are no nodes are from. */
  base: DirectoryEntry;
  #position = 0;
  #pending: Listed | null = null;
  #names: AsyncGenerator<Listed, void, undefined>;

  constructor(directory: DirectoryNode) {
    this.directory = directory;
    this.base = directory.base;
    this.#names = this.#begin();
  }

  /** Of the next one, for the kernel. */
  get offset(): number {
    return this.#position + 1;
  }

  async seek(offset: number): Promise<void> {
    if (offset === this.#position) return;
    if (offset < this.#position) {
      this.base = this.directory.base;
      this.#position = 0;
      this.#pending = null;
      this.#names = this.#begin();
    }
    while (this.#position < offset && (await this.next()) !== null) this.take();
  }

  /** Null: there is no more. It stays the next one until it is taken. */
  async next(): Promise<Listed | null> {
    if (this.#pending !== null) return this.#pending;
    const { value, done } = await this.#names.next();
    this.#pending = done === true ? null : value;
    return this.#pending;
  }

  take(): void {
    this.#pending = null;
    this.#position += 1;
  }

  async *#begin(): AsyncGenerator<Listed, void, undefined> {
    yield { name: '.', what: 'self' };
    yield { name: '..', what: 'parent' };
    for await (const [name, what] of this.directory.tree.list(this.directory)) yield { name, what };
  }
}
