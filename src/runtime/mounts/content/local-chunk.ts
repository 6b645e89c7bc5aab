import {
  closeSync,
  constants,
  copyFileSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HashedChunk } from '../../../common/volumes/content.js';
import type { ChunkThreads } from './chunk-threads.js';
import type { LocalBudget } from './local-budget.js';

/** A chunk that is longer is a file. */
const longestInMemory = 65_536;
const firstCapacity = 4_096;
const nothing = Buffer.alloc(0);

export interface LocalChunksOptions {
  /** Of its own, for chunks that are files. */
  readonly folder: string;
  /** Of all chunks that are no files; one that would be above it is a file, too. */
  readonly maxMemoryBytes: number;
  /** Counts all of them; who writes looks first whether there is room. */
  readonly budget: LocalBudget;
  readonly threads: Pick<ChunkThreads, 'hash'>;
}

/** Where bytes that were written are until they are committed. */
export class LocalChunks {
  readonly #options: LocalChunksOptions;
  #memoryBytes = 0;
  #last = 0;

  constructor(options: LocalChunksOptions) {
    this.#options = options;
  }

  create(bytes: Uint8Array = nothing): LocalChunk {
    const chunk = new LocalChunk(this);
    if (bytes.length > 0) chunk.write(0, bytes);
    return chunk;
  }

  /** @param length of what is taken over from its beginning */
  copyOf(path: string): LocalChunk {
    const copy = this.newPath();
    copyFileSync(path, copy, constants.COPYFILE_FICLONE);
    return new LocalChunk(this, copy);
  }

  get budget(): LocalBudget {
    return this.#options.budget;
  }

  get threads(): LocalChunksOptions['threads'] {
    return this.#options.threads;
  }

  newPath(): string {
    this.#last += 1;
    return join(this.#options.folder, String(this.#last));
  }

  /** False: it must be a file. */
  takeMemory(bytes: number): boolean {
    if (this.#memoryBytes + bytes > this.#options.maxMemoryBytes) return false;
    this.#memoryBytes += bytes;
    return true;
  }

  giveMemory(bytes: number): void {
    this.#memoryBytes -= bytes;
  }
}

/**
 * A chunk of a file that was written here: in memory while it is short, else in a file.
 *
 * I1. What has more than one user does not change: a writer takes a copy first.
 */
export class LocalChunk {
  readonly #chunks: LocalChunks;
  #bytes: Buffer = nothing;
  #path: string | null;
  #length: number;
  /** To here something was written, or copied; what it is longer by are zeros that cost nothing. */
  #keptBytes: number;
  #users = 1;

  constructor(chunks: LocalChunks, path: string | null = null) {
    this.#chunks = chunks;
    this.#path = path;
    this.#length = path === null ? 0 : statSync(path).size;
    this.#keptBytes = this.#length;
    chunks.budget.count(this.#keptBytes);
  }

  get keptBytes(): number {
    return this.#keptBytes;
  }

  get length(): number {
    return this.#length;
  }

  get isShared(): boolean {
    return this.#users > 1;
  }

  /** Null: it is in memory. */
  get path(): string | null {
    return this.#path;
  }

  share(): this {
    this.#users += 1;
    return this;
  }

  /** With its last user it is gone. */
  release(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    this.#keep(0);
    if (this.#path === null) this.#chunks.giveMemory(this.#bytes.length);
    else rmSync(this.#path, { force: true });
  }

  copy(): LocalChunk {
    if (this.#path !== null) return this.#chunks.copyOf(this.#path);
    return this.#chunks.create(this.#bytes.subarray(0, this.#length));
  }

  /** Into `target`; how many bytes there are, the rest is as it was. */
  read(target: Buffer, offset: number): number {
    const there = Math.max(0, Math.min(target.length, this.#length - offset));
    if (there === 0) return 0;
    if (this.#path === null) return this.#bytes.copy(target, 0, offset, offset + there);
    return readFileAt(this.#path, target.subarray(0, there), offset);
  }

  all(): Buffer {
    if (this.#path === null) return this.#bytes.subarray(0, this.#length);
    const bytes = Buffer.allocUnsafe(this.#length);
    this.read(bytes, 0);
    return bytes;
  }

  /** What a commit is to store, of one that does not change any more: who serves the kernel does not wait for a long one. */
  async toStore(): Promise<Buffer | HashedChunk | null> {
    const path = this.#path;
    if (path === null) return this.all();
    const hash = await this.#chunks.threads.hash(path);
    return hash === null ? null : { hash, length: this.#length, bytes: () => readFile(path) };
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (this.#inMemory(end)) this.#bytes.set(bytes, offset);
    else this.#inFile((file) => writeFully(file, bytes, offset));
    this.#length = Math.max(this.#length, end);
    this.#keep(Math.max(this.#keptBytes, end));
  }

  /** What it is longer by is zeros. */
  resize(length: number): void {
    if (this.#inMemory(length)) {
      if (length < this.#length) this.#bytes.fill(0, length, this.#length);
    } else this.#inFile((file) => ftruncateSync(file, length));
    this.#length = length;
    this.#keep(Math.min(this.#keptBytes, length));
  }

  #keep(bytes: number): void {
    this.#chunks.budget.count(bytes - this.#keptBytes);
    this.#keptBytes = bytes;
  }

  /** Whether it is in memory, with room for so many bytes; else it is a file from now on. */
  #inMemory(length: number): boolean {
    if (this.#path !== null) return false;
    if (length <= this.#bytes.length) return true;
    const capacity = Math.min(longestInMemory, Math.max(firstCapacity, this.#bytes.length * 2, length));
    if (length <= capacity && this.#chunks.takeMemory(capacity - this.#bytes.length)) {
      const larger = Buffer.alloc(capacity);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
      return true;
    }
    this.#spill();
    return false;
  }

  #spill(): void {
    const path = this.#chunks.newPath();
    const file = openSync(path, 'wx', 0o600);
    try {
      writeFully(file, this.#bytes.subarray(0, this.#length), 0);
    } finally {
      closeSync(file);
    }
    this.#chunks.giveMemory(this.#bytes.length);
    this.#bytes = nothing;
    this.#path = path;
  }

  #inFile(work: (file: number) => void): void {
    const file = openSync(this.#path as string, 'r+');
    try {
      work(file);
    } finally {
      closeSync(file);
    }
  }
}

/** How many bytes there were. */
export function readFileAt(path: string, target: Buffer, offset: number): number {
  const file = openSync(path, 'r');
  try {
    let done = 0;
    while (done < target.length) {
      const read = readSync(file, target, done, target.length - done, offset + done);
      if (read === 0) break;
      done += read;
    }
    return done;
  } finally {
    closeSync(file);
  }
}

function writeFully(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, offset + done);
  }
}
