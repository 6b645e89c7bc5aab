import type { FileHandle } from 'node:fs/promises';
import { open, rm } from 'node:fs/promises';

/** A file of a bucket as it is being written, on this host, until it is uploaded whole. */
export class Draft {
  readonly path: string;
  /** Of bytes that are not in the bucket. */
  isChanged = true;
  /** Whoever wrote them was told that they could not be uploaded. */
  isRefused = false;
  modifiedMs: number;
  readonly #file: FileHandle;
  #size: number;

  static async make(path: string, nowMs: number): Promise<Draft> {
    return new Draft(path, await open(path, 'wx+', 0o600), nowMs);
  }

  private constructor(path: string, file: FileHandle, nowMs: number) {
    this.path = path;
    this.modifiedMs = nowMs;
    this.#file = file;
    this.#size = 0;
  }

  get size(): number {
    return this.#size;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.#size - offset)));
    if (bytes.length === 0) return bytes;
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, offset);
    return bytes.subarray(0, bytesRead);
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    // Before the bytes: what fails midway has changed it.
    this.isChanged = true;
    this.isRefused = false;
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, offset + at);
      at += bytesWritten;
      this.#size = Math.max(this.#size, offset + at);
    }
  }

  async cut(size: number): Promise<void> {
    this.isChanged = true;
    this.isRefused = false;
    await this.#file.truncate(size);
    this.#size = size;
  }

  async remove(): Promise<void> {
    await this.#file.close();
    await rm(this.path, { force: true });
  }
}
