import { DirentBuffer } from '../fuse/replies.js';
import { typeBits } from '../overlay/shown-node.js';
import { refuse } from '../refused.js';
import type { FileTree, NodeType, TreeNode } from './file-tree.js';

interface Listed {
  readonly name: string;
  readonly type: NodeType;
}

/** A directory as somebody reads it, from its begin on; who goes back begins anew. */
class TreeListing {
  readonly #list: () => AsyncGenerator<Listed, void, undefined>;
  #names: AsyncGenerator<Listed, void, undefined>;
  #position = 0;
  #pending: Listed | null = null;

  /** @param of null: the folder of all mounts, in which are these names */
  constructor(of: { readonly tree: FileTree; readonly node: TreeNode } | null, mounts: readonly string[]) {
    this.#list = async function* () {
      for (const name of ['.', '..', ...(of === null ? mounts : [])]) yield { name, type: 'directory' };
      if (of !== null) yield* of.tree.list(of.node);
    };
    this.#names = this.#list();
  }

  async read(offset: number, size: number): Promise<Buffer> {
    const buffer = new DirentBuffer(size);
    await this.#seek(offset);
    for (let listed = await this.#next(); listed !== null; listed = await this.#next()) {
      const name = Buffer.from(listed.name, 'utf8');
      if (!buffer.fits(name, false)) break;
      this.#take();
      buffer.add({ name, offset: this.#position, typeBits: typeBits[listed.type], ino: null }, null);
    }
    return buffer.take();
  }

  async close(): Promise<void> {
    await this.#names.return();
  }

  async #seek(offset: number): Promise<void> {
    if (offset < this.#position) {
      await this.close();
      this.#position = 0;
      this.#pending = null;
      this.#names = this.#list();
    }
    while (this.#position < offset && (await this.#next()) !== null) this.#take();
  }

  async #next(): Promise<Listed | null> {
    if (this.#pending !== null) return this.#pending;
    const { value, done } = await this.#names.next();
    this.#pending = done === true ? null : value;
    return this.#pending;
  }

  #take(): void {
    this.#pending = null;
    this.#position += 1;
  }
}

/** Directories that somebody has open, by handle. */
export class TreeListings {
  readonly #listings = new Map<number, TreeListing>();
  #last = 0;

  open(of: { readonly tree: FileTree; readonly node: TreeNode } | null, mounts: readonly string[]): number {
    this.#last += 1;
    this.#listings.set(this.#last, new TreeListing(of, mounts));
    return this.#last;
  }

  /** @throws Refused EBADF */
  async read(handle: number, offset: number, size: number): Promise<Buffer> {
    const listing = this.#listings.get(handle) ?? refuse('EBADF');
    return await listing.read(offset, size);
  }

  async close(handle: number): Promise<void> {
    const listing = this.#listings.get(handle);
    this.#listings.delete(handle);
    await listing?.close();
  }
}
