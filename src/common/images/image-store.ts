import { createHash } from 'node:crypto';
import type { Clock } from '../clock.js';
import { HoldfastError, isHoldfastError } from '../errors.js';
import { type ImageContent, type ImageSettings, isHash, noSettings } from '../image.js';
import type { ObjectStore } from '../ports/object-store.js';
import { type ExclusionParts, ImageWriters } from './image-exclusion.js';

/** A layer as it is stored. */
export interface StoredLayer {
  /** Of its tar. */
  readonly bytes: number;
  /** Hashes of the tar's pieces, in order. */
  readonly chunks: readonly string[];
}

const version = 1;
const chunkBytes = 8_388_608;

type Kind = 'manifests' | 'layers' | 'chunks';
type Json = Readonly<Record<string, unknown>>;

/**
 * Images of one account as objects, each under the hash of its own bytes: what was changed on its way is as good as missing.
 * Memory is that of one chunk, however large a layer is.
 */
export class ImageStore {
  /** Those who write do it in here: nothing that they find is swept before they have named it. */
  readonly writers: ImageWriters;
  readonly #objects: ObjectStore;
  readonly #account: string;
  readonly #clock: Clock;

  constructor(parts: ExclusionParts) {
    this.writers = new ImageWriters(parts);
    this.#objects = parts.objects;
    this.#account = parts.account;
    this.#clock = parts.clock;
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

  /** @returns the image's id @throws Unavailable */
  async putImage({
    base,
    layers,
    env,
    workdir,
  }: Pick<ImageContent, 'base' | 'layers'> & Partial<ImageSettings>): Promise<string> {
    const hasEnv = env !== undefined && Object.keys(env).length > 0;
    const id = await this.#putJson('manifests', {
      ...{ v: version, base, layers },
      ...(hasEnv ? { env } : {}),
      ...(typeof workdir === 'string' ? { workdir } : {}),
    });
    await this.used(id);
    return id;
  }

  /** @throws NotFound, Unavailable */
  async image(imageId: string): Promise<ImageContent> {
    const what = `image ${short(imageId)}`;
    const content = contentOf(await this.#getJson('manifests', imageId, what));
    if (content === null) throw unknownFormat(what);
    return content;
  }

  /** What was built by that key; null: nothing, or it was removed since. @throws Unavailable */
  async built(key: string): Promise<string | null> {
    const bytes = await this.#objects.get(this.#buildKey(key));
    const id = bytes === null ? '' : Buffer.from(bytes).toString('latin1');
    return isHash(id) && (await this.#objects.has(this.#key('manifests', id))) ? id : null;
  }

  /** It is needed now, and for some time to come. @throws Unavailable */
  async used(imageId: string): Promise<void> {
    await this.#objects.put(this.#useKey(imageId), Buffer.from(String(this.#clock.now()), 'latin1'));
  }

  /** ms since 1970; 0: nobody knows. @throws Unavailable */
  async usedAt(imageId: string): Promise<number> {
    const bytes = await this.#objects.get(this.#useKey(imageId));
    const at = bytes === null ? 0 : Number(Buffer.from(bytes).toString('latin1'));
    return Number.isFinite(at) ? at : 0;
  }

  /** Ids. @throws Unavailable */
  async *images(): AsyncGenerator<string, void, undefined> {
    for await (const [, id] of this.hashes('manifests')) yield id;
  }

  /** Keys of objects of a kind, with their hashes. @throws Unavailable */
  async *hashes(kind: Kind): AsyncGenerator<readonly [key: string, hash: string], void, undefined> {
    const folder = `images/${this.#account}/${kind}`;
    for await (const page of this.#objects.list(folder))
      for (const key of page) yield [key, key.slice(folder.length + 1)];
  }

  /** Keys of objects that say what stands for an image, with its id. @throws Unavailable */
  async *builds(): AsyncGenerator<readonly [key: string, image: string], void, undefined> {
    for await (const page of this.#objects.list(`images/${this.#account}/builds`)) {
      for (const key of page) {
        const bytes = await this.#objects.get(key);
        yield [key, bytes === null ? '' : Buffer.from(bytes).toString('latin1')];
      }
    }
  }

  /** Of the objects that are of an image alone, in the order in which they are removed. */
  keysOfImage(imageId: string): readonly string[] {
    return [this.#key('manifests', imageId), this.#useKey(imageId)];
  }

  /** From now on that key stands for this image. @throws Unavailable */
  async putBuilt(key: string, imageId: string): Promise<void> {
    await this.#objects.put(this.#buildKey(key), Buffer.from(imageId, 'latin1'));
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

  async #getJson(kind: Kind, hash: string, what: string): Promise<Json> {
    const bytes = await this.#get(kind, hash, what);
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as Json;
    if (value['v'] === version) return value;
    throw unknownFormat(what);
  }

  async #get(kind: Kind, hash: string, what: string): Promise<Uint8Array> {
    const bytes = isHash(hash) ? await this.#objects.get(this.#key(kind, hash)) : null;
    if (bytes !== null && hashOf(bytes) === hash) return bytes;
    const how = bytes === null ? 'is not among the images of this account' : 'is damaged in the object store';
    throw new HoldfastError(
      'NotFound',
      `${what} ${how}; take the snapshot again, or deploy again what it was built for`,
      { details: { hash } },
    );
  }

  /** Keys of one account begin alike: no other account's images can be read or overwritten by it. */
  #key(kind: Kind, hash: string): string {
    return `images/${this.#account}/${kind}/${hash}`;
  }

  #useKey(imageId: string): string {
    return `images/${this.#account}/uses/${imageId}`;
  }

  #buildKey(key: string): string {
    return `images/${this.#account}/builds/${key}`;
  }
}

/** Null: it is of a version that is not known here. */
function contentOf({ base, layers, env = {}, workdir = null }: Json): ImageContent | null {
  if (base !== 'host' && base !== 'none') return null;
  if (!Array.isArray(layers) || !layers.every(isHash) || typeof env !== 'object') return null;
  const settings = { env: env as ImageSettings['env'], workdir: workdir as ImageSettings['workdir'] };
  return { ...noSettings, ...settings, base, layers };
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

/** No such object, or not what it was: reading it again later gives nothing else. */
export function isMissing(e: unknown): boolean {
  return isHoldfastError(e, 'NotFound') && e.details['hash'] !== undefined;
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
