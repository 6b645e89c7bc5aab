import { join } from 'node:path';
import { refuse } from '../refused.js';
import { Draft } from './draft.js';

/** The drafts of one mount, and the bound of what they take together on this host. */
export class Drafts {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #drafts = new Set<Draft>();
  #last = 0;

  constructor({ folder, maxLocalBytes }: { readonly folder: string; readonly maxLocalBytes: number }) {
    this.#folder = folder;
    this.#maxBytes = maxLocalBytes;
  }

  async make(nowMs: number): Promise<Draft> {
    this.#last += 1;
    const draft = await Draft.make(join(this.#folder, `draft-${this.#last}`), nowMs);
    this.#drafts.add(draft);
    return draft;
  }

  async remove(draft: Draft): Promise<void> {
    this.#drafts.delete(draft);
    await draft.remove();
  }

  async close(): Promise<void> {
    for (const draft of [...this.#drafts]) await this.remove(draft);
  }

  /** @throws Refused ENOSPC where a draft of that size would be more than may be here */
  checkRoom(draft: Draft, size: number): void {
    let bytes = Math.max(draft.size, size);
    for (const other of this.#drafts) if (other !== draft) bytes += other.size;
    if (bytes > this.#maxBytes) refuse('ENOSPC');
  }
}
