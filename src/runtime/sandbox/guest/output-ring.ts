import type { CommandEvent } from '../../../common/sandbox-methods.js';
import type { OutputBudget } from './output-budget.js';

type Stream = 'stdout' | 'stderr';
export type OutputEvent = Extract<CommandEvent, { type: Stream }>;

/** Output of one stream in one piece. Bytes below `length` never change. */
interface Chunk {
  readonly stream: Stream;
  readonly offset: number;
  buffer: Buffer;
  length: number;
}

const largestChunk = 65_536;
/** The oldest one goes as a whole: with so many, little more goes than must. */
const fewestChunks = 8;
const firstChunkBytes = 1_024;

/**
 * The last output of a process, both streams in the order seen, for any number of readers, each at its own offset.
 *
 * I1. It keeps at most `maxBytes`, and what the budget has for it: the oldest goes first, and hardly more of it than must.
 * I2. Offsets are those of the process: what is gone leaves a gap that a reader can see.
 */
export class OutputRing {
  readonly #maxBytes: number;
  readonly #chunkBytes: number;
  readonly #budget: OutputBudget;
  #chunks: Chunk[] = [];
  #keptBytes = 0;
  #endOffset = 0;
  #isClosed = false;
  #waiting: (() => void)[] = [];

  constructor(maxBytes: number, budget: OutputBudget) {
    this.#maxBytes = maxBytes;
    this.#chunkBytes = Math.min(largestChunk, Math.ceil(maxBytes / fewestChunks));
    this.#budget = budget;
  }

  /** Something was printed that is not here any more. */
  get hasDropped(): boolean {
    return this.#endOffset > this.#keptBytes;
  }

  /** @param bytes copied */
  add(stream: Stream, bytes: Uint8Array): void {
    const skipped = Math.max(0, bytes.length - this.#maxBytes);
    if (skipped > 0) this.drop();
    this.#endOffset += skipped;
    const size = this.#chunkBytes;
    for (let at = skipped; at < bytes.length; at += size) this.#add(stream, bytes.subarray(at, at + size));
    this.#wake();
  }

  /** Nothing will be printed any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  /** All that it holds is given up. */
  drop(): void {
    for (const chunk of this.#chunks) this.#budget.give(chunk.length);
    this.#chunks = [];
    this.#keptBytes = 0;
  }

  /** From an offset on, until the process has ended; a reader that is too slow misses what had to go. */
  async *read(fromOffset: number, signal: AbortSignal): AsyncGenerator<OutputEvent, void, undefined> {
    for (let offset = fromOffset; ; ) {
      signal.throwIfAborted();
      const chunk = this.#chunks[this.#indexAt(offset)];
      if (chunk !== undefined) {
        const start = Math.max(0, offset - chunk.offset);
        offset = chunk.offset + chunk.length;
        yield { type: chunk.stream, bytes: chunk.buffer.subarray(start, chunk.length), offset: chunk.offset + start };
      } else if (this.#isClosed) {
        return;
      } else {
        await this.#more(signal);
      }
    }
  }

  text(stream: Stream): string {
    const pieces = this.#chunks.filter((chunk) => chunk.stream === stream);
    return Buffer.concat(pieces.map(({ buffer, length }) => buffer.subarray(0, length))).toString('utf8');
  }

  #add(stream: Stream, bytes: Uint8Array): void {
    const { length } = bytes;
    const offset = this.#endOffset;
    this.#endOffset += length;
    while (this.#chunks.length > 0 && this.#keptBytes + length > this.#maxBytes) this.#dropOldest();
    while (!this.#budget.take(length)) {
      if (this.#chunks.length === 0) return;
      this.#dropOldest();
    }
    this.#keptBytes += length;
    const last = this.#chunks.at(-1);
    const isNext = last !== undefined && last.offset + last.length === offset;
    if (isNext && last.stream === stream && last.length + length <= this.#chunkBytes)
      return append(last, bytes, this.#chunkBytes);
    const buffer = Buffer.allocUnsafe(Math.max(firstChunkBytes, length));
    buffer.set(bytes);
    this.#chunks.push({ stream, offset, buffer, length });
  }

  #dropOldest(): void {
    const oldest = this.#chunks.shift();
    if (oldest === undefined) return;
    this.#keptBytes -= oldest.length;
    this.#budget.give(oldest.length);
  }

  /** Of the first chunk that has something at or behind the offset. */
  #indexAt(offset: number): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { offset: start, length } = this.#chunks[middle] as Chunk;
      if (start + length > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.push(done);
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}

function append(chunk: Chunk, bytes: Uint8Array, chunkBytes: number): void {
  const length = chunk.length + bytes.length;
  if (length > chunk.buffer.length) {
    const larger = Buffer.allocUnsafe(Math.min(chunkBytes, Math.max(length, chunk.buffer.length * 2)));
    larger.set(chunk.buffer.subarray(0, chunk.length));
    chunk.buffer = larger;
  }
  chunk.buffer.set(bytes, chunk.length);
  chunk.length = length;
}
