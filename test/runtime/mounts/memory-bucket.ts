import { readFile } from 'node:fs/promises';
import type { Bucket, BucketListing, BucketObject, BucketPage } from '../../../src/common/ports/bucket.js';

/** A bucket in memory, whose requests wait where a test holds them. */
export class MemoryBucket implements Bucket {
  readonly objects = new Map<string, { readonly bytes: Buffer; readonly object: BucketObject }>();
  /** `copy KEY`, `put KEY` and `delete KEY` that were asked for. */
  readonly asked: string[] = [];
  /** Where the parts begin that were read. */
  readonly offsets: number[] = [];
  readonly #held = new Map<string, Promise<void>>();
  #writes = 0;

  /** That request waits; resolves when it is asked, and lets it go on when called. */
  hold(request: string): { readonly reached: () => boolean; readonly letGo: () => void } {
    let letGo = (): void => undefined;
    this.#held.set(
      request,
      new Promise((resolve) => {
        letGo = resolve;
      }),
    );
    return { reached: () => this.asked.includes(request), letGo: () => letGo() };
  }

  text(key: string): string | null {
    return this.objects.get(key)?.bytes.toString('utf8') ?? null;
  }

  async head(key: string): Promise<BucketObject | null> {
    return this.objects.get(key)?.object ?? null;
  }

  async list({ prefix, inFolders }: BucketListing): Promise<BucketPage> {
    const below = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    const isDeep = (key: string): boolean => inFolders && key.slice(prefix.length).includes('/');
    const folders = below.filter(isDeep).map((key) => key.slice(0, key.indexOf('/', prefix.length) + 1));
    const objects = below.filter((key) => !isDeep(key)).flatMap((key) => this.objects.get(key)?.object ?? []);
    return { objects, folders: [...new Set(folders)], next: null };
  }

  async read({ key, etag }: BucketObject, offset: number, length: number): Promise<Uint8Array | null> {
    const found = this.objects.get(key);
    this.offsets.push(offset);
    return found?.object.etag === etag ? found.bytes.subarray(offset, offset + length) : null;
  }

  async put(key: string, file: { readonly path: string; readonly size: number }): Promise<void> {
    const bytes = await readFile(file.path);
    await this.#ask(`put ${key}`);
    this.#store(key, bytes);
  }

  async copy({ key }: BucketObject, to: string): Promise<boolean> {
    const found = this.objects.get(key);
    await this.#ask(`copy ${to}`);
    if (found !== undefined) this.#store(to, found.bytes);
    return found !== undefined;
  }

  async delete(key: string): Promise<void> {
    await this.#ask(`delete ${key}`);
    this.objects.delete(key);
  }

  close(): void {
    this.objects.clear();
  }

  async #ask(request: string): Promise<void> {
    this.asked.push(request);
    await this.#held.get(request);
  }

  #store(key: string, bytes: Buffer): void {
    this.#writes += 1;
    this.objects.set(key, {
      bytes,
      object: { key, size: bytes.length, modifiedMs: this.#writes, etag: String(this.#writes) },
    });
  }
}
