import type { OutputEvent } from './output-ring.js';

interface Item {
  readonly type: 'stdout' | 'stderr';
  readonly offset: number;
  readonly pieces: Buffer[];
  length: number;
}

const itemBytes = 65_536;

/** Output on its way to one reader: what comes faster than it is read comes in larger pieces, and credit bounds it. */
export class OutputQueue {
  readonly #items: Item[] = [];
  #isClosed = false;
  #wake: (() => void) | null = null;

  /** @param bytes copied */
  add(type: 'stdout' | 'stderr', bytes: Uint8Array, offset: number): void {
    const last = this.#items.at(-1);
    if (last !== undefined && last.type === type && last.length + bytes.length <= itemBytes) {
      last.pieces.push(Buffer.from(bytes));
      last.length += bytes.length;
    } else {
      this.#items.push({ type, offset, pieces: [Buffer.from(bytes)], length: bytes.length });
    }
    this.#wake?.();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake?.();
  }

  /** Null: closed, and nothing is left. */
  async next(): Promise<OutputEvent | null> {
    while (this.#items.length === 0) {
      if (this.#isClosed) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const { type, offset, pieces } = this.#items.shift() as Item;
    return { type, offset, bytes: pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces) };
  }
}
