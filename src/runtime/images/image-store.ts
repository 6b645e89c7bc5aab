import { createHash } from 'node:crypto';
import { HoldfastError } from '../../common/errors.js';
import { isHash } from '../../common/image.js';
import type { ObjectStore } from '../../common/ports/object-store.js';

/** A layer as it is stored. */
export interface StoredLayer {
  /** Of its tar. */
  readonly bytes: number;
  /** Hashes of the tar's pieces, in order. */
  readonly chunks: readonly string[];
}

/** What the root of an image is below its layers; more kinds will come. */
const base = 'host';
const version = 1;
const chunkBytes = 8_388_608;

type Kind = 'manifests' | 'layers' | 'chunks';

/**
 * Images of one account as objects, each under the hash of its own bytes: what was changed on its way is as good as missing.
 * Memory is that of one chunk, however large a layer is.
 */
export class ImageStore {
  readonly #objects: ObjectStore;
  readonly #account: string;

  constructor(objects: ObjectStore, account: string) {
    this.#objects = objects;
    this.#account = account;
  }

  /** @returns the layer's hash @throws Unavailable, and what reading the tar throws */
  async putLayer(tar: AsyncIterable<Uint8Array>): Promise<string> {
    const chunks: string[] = [];
    let bytes = 0;
    for await (const chunk of chunksOf(tar)) {
      chunks.push(await this.#put('chunks', chunk));
      bytes += chunk.length;
    }
    return await this.#putJson('layers', { v: version, bytes, chunks });
  }

  /** @param layers the newest first @returns the image's id @throws Unavailable */
  putImage(layers: readonly string[]): Promise<string> {
    return this.#putJson('manifests', { v: version, base, layers });
  }

  /** The newest first. @throws NotFound, Unavailable */
  async layersOf(imageId: string): Promise<readonly string[]> {
    const manifest = await this.#getJson('manifests', imageId, `image ${short(imageId)}`);
    const { layers } = manifest as { readonly layers?: unknown };
    if (manifest['base'] === base && Array.isArray(layers) && layers.every(isHash)) return layers;
    throw unknownFormat(`image ${short(imageId)}`);
  }

  /** @throws NotFound, Unavailable */
  async layer(hash: string): Promise<StoredLayer> {
    const what = `layer ${short(hash)}`;
    const { bytes, chunks } = await this.#getJson('layers', hash, what);
    if (Number.isSafeInteger(bytes) && Array.isArray(chunks) && chunks.every(isHash))
      return { bytes: bytes as number, chunks };
    throw unknownFormat(what);
  }

  /** The tar of a layer. @throws NotFound, Unavailable */
  async *read({ chunks }: StoredLayer): AsyncGenerator<Uint8Array, void, undefined> {
    for (const chunk of chunks) yield await this.#get('chunks', chunk, `part ${short(chunk)} of a layer`);
  }

  #putJson(kind: Kind, value: object): Promise<string> {
    return this.#put(kind, Buffer.from(JSON.stringify(value)));
  }

  async #put(kind: Kind, bytes: Uint8Array): Promise<string> {
    const hash = hashOf(bytes);
    const key = this.#key(kind, hash);
    if (!(await this.#objects.has(key))) await this.#objects.put(key, bytes);
    return hash;
  }

  async #getJson(kind: Kind, hash: string, what: string): Promise<Readonly<Record<string, unknown>>> {
    const bytes = await this.#get(kind, hash, what);
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Readonly<Record<string, unknown>>;
    if (value['v'] === version) return value;
    throw unknownFormat(what);
  }

  async #get(kind: Kind, hash: string, what: string): Promise<Uint8Array> {
    const bytes = isHash(hash) ? await this.#objects.get(this.#key(kind, hash)) : null;
    if (bytes !== null && hashOf(bytes) === hash) return bytes;
    const how = bytes === null ? 'is not among the images of this account' : 'is damaged in the object store';
    throw new HoldfastError('NotFound', `${what} ${how}; take the snapshot again`, { details: { hash } });
  }

  /** Keys of one account begin alike: no other account's images can be read or overwritten by it. */
  #key(kind: Kind, hash: string): string {
    return `images/${this.#account}/${kind}/${hash}`;
  }
}

/** Pieces of one size, but for the last. Each is overwritten by the next one. */
async function* chunksOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let filled = 0;
  for await (const piece of source) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + chunkBytes - filled);
      chunk.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < chunkBytes) continue;
      yield chunk;
      filled = 0;
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled);
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function short(hash: string): string {
  return hash.slice(0, 12);
}

function unknownFormat(what: string): HoldfastError {
  return new HoldfastError('NotFound', `${what} is of a version that this worker does not know; upgrade the worker`);
}
