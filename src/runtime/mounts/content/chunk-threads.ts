import { Worker } from 'node:worker_threads';
import { HoldfastError } from '../../../common/errors.js';
import type { ArrivedChunk, NearChunk } from './verified-chunk.js';

/** A chunk to be kept, or the path of one whose hash is wanted. */
export type ThreadWork = ArrivedChunk | NearChunk | { readonly hashed: string };
/** In the order in which the work was sent. */
export type ThreadAnswer = { readonly value: unknown } | { readonly code: string; readonly message: string };

interface Waiter {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

const threadCount = 2;

/**
 * Threads that hash chunks, compare them with their hashes and write them to the disk: who serves the kernel does not wait for
 * that. One that has died is followed by another.
 *
 * I1. Every chunk is answered: by its thread, or by the end of that.
 */
export class ChunkThreads {
  readonly #entry: URL;
  readonly #threads = new Set<ChunkThread>();
  #isOver = false;

  /** @param entry chunk-thread-main */
  constructor(entry: URL) {
    this.#entry = entry;
  }

  /** Before there is work, so that the first chunk does not wait for them. */
  start(): void {
    while (!this.#isOver && this.#threads.size < threadCount) this.#add();
  }

  /**
   * As `keepVerified`; bytes are gone afterwards.
   *
   * @throws what the disk says, with its `code`; Unavailable where the thread has died
   */
  async keep(chunk: ArrivedChunk | NearChunk): Promise<number | null> {
    return (await this.#done('bytes' in chunk ? { ...chunk, bytes: asWhole(chunk.bytes) } : chunk)) as number | null;
  }

  /** As `hashOfFile`. @throws what the disk says, with its `code`; Unavailable where the thread has died */
  async hash(path: string): Promise<string | null> {
    return (await this.#done({ hashed: path })) as string | null;
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#threads].map((thread) => thread.end()));
  }

  async #done(work: ThreadWork): Promise<unknown> {
    if (this.#isOver) throw ended('with its process');
    return await this.#next().do(work);
  }

  #next(): ChunkThread {
    if (this.#threads.size < threadCount) return this.#add();
    return [...this.#threads].reduce((least, thread) => (thread.waiting < least.waiting ? thread : least));
  }

  #add(): ChunkThread {
    const thread = new ChunkThread(this.#entry, () => this.#threads.delete(thread));
    this.#threads.add(thread);
    return thread;
  }
}

class ChunkThread {
  readonly #worker: Worker;
  readonly #waiters: Waiter[] = [];

  constructor(entry: URL, onEnd: () => void) {
    // No environment: it needs none, and this process has keys in its own.
    this.#worker = new Worker(entry, { env: {} });
    this.#worker.unref();
    const over = (why: string): void => {
      onEnd();
      for (const { reject } of this.#waiters.splice(0)) reject(ended(why));
    };
    this.#worker.on('message', (answer: ThreadAnswer) => this.#onAnswer(answer));
    this.#worker.on('error', (error) => over(`with ${error.message}`));
    this.#worker.on('exit', (code) => over(`with ${code}`));
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  do(work: ThreadWork): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#worker.postMessage(work, 'bytes' in work ? [work.bytes.buffer as ArrayBuffer] : []);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #onAnswer(answer: ThreadAnswer): void {
    const waiter = this.#waiters.shift();
    if ('value' in answer) waiter?.resolve(answer.value);
    else waiter?.reject(Object.assign(new Error(answer.message), { code: answer.code }));
  }
}

/** In memory with nothing else in it, which goes to the thread as it is. */
function asWhole(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = bytes;
  const isWhole = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength;
  return isWhole ? new Uint8Array(buffer) : Uint8Array.from(bytes);
}

function ended(how: string): HoldfastError {
  return new HoldfastError('Unavailable', `the thread that keeps chunks of volumes has ended ${how}: read again`);
}
