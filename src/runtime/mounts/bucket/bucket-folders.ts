import type { Bucket } from '../../../common/ports/bucket.js';
import { refuse } from '../refused.js';
import type { BucketNodes } from './bucket-nodes.js';
import type { Drafts } from './drafts.js';

/** Folders of a bucket: prefixes, and empty objects whose keys end with a slash. */
export class BucketFolders {
  readonly #bucket: Bucket;
  readonly #nodes: BucketNodes;
  readonly #drafts: Drafts;
  /** Those that have an object of their own, as far as is known. */
  readonly #marked = new Set<string>();

  constructor(bucket: Bucket, nodes: BucketNodes, drafts: Drafts) {
    this.#bucket = bucket;
    this.#nodes = nodes;
    this.#drafts = drafts;
  }

  /** A folder stays one when the last file in it goes: it gets an object of its own before. */
  async keep(path: string): Promise<void> {
    if (path === '' || this.#marked.has(path)) return;
    const own = this.#nodes.folderKey(path);
    const { objects } = await this.#bucket.list({ prefix: own, inFolders: false, limit: 2, after: null });
    if (objects[0]?.key === own) this.#marked.add(path);
    else if (objects.length < 2) await this.make(path);
  }

  async make(path: string): Promise<void> {
    const nothing = await this.#drafts.make(0);
    try {
      await this.#bucket.put(this.#nodes.folderKey(path), nothing);
    } finally {
      await this.#drafts.remove(nothing);
    }
    this.#marked.add(path);
  }

  gone(path: string): void {
    this.#marked.delete(path);
  }

  /** @throws Refused ENOTEMPTY, also for files that are not uploaded yet */
  async checkEmpty(path: string): Promise<void> {
    const own = this.#nodes.folderKey(path);
    const { objects } = await this.#bucket.list({ prefix: own, inFolders: false, limit: 2, after: null });
    const hasDrafts = [...this.#nodes.all].some((node) => node.draft !== null && node.path.startsWith(`${path}/`));
    if (hasDrafts || objects.some(({ key }) => key !== own)) refuse('ENOTEMPTY');
  }
}
