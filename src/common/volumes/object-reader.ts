import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import { HoldfastError } from '../errors.js';
import type { ObjectStore } from '../ports/object-store.js';
import type { NodeSource } from './directory.js';
import type { Blob, Hash } from './entry.js';
import { decodeNode, type Node } from './node-codec.js';
import { objectKey } from './object-key.js';

/** Encoded bytes of the directories that are kept in memory. */
const keptNodeBytes = 67_108_864;
/** What one takes beside its encoded bytes. */
const nodeOverheadBytes = 256;
const tries = 4;
const firstPauseMs = 50;

type ReadObjects = Pick<ObjectStore, 'get'> & Partial<Pick<ObjectStore, 'pathOf'>>;

/**
 * Objects of an account's volumes, each compared with its hash: an object store that is slow, away or wrong is asked again,
 * and then fails the read. Wrong bytes are never handed out.
 */
export class ObjectReader implements NodeSource {
  readonly #objects: ReadObjects;
  readonly #account: string;
  readonly #clock: Clock;
  readonly #askAgainWithinMs: number;
  readonly #nodes: LRUCache<Hash, Node>;
  readonly #underway = new Map<Hash, Promise<Node>>();

  /**
   * @param parts.like a reader of the same objects, whose directories it has too
   * @param parts.askAgainWithinMs after that a read that has failed is not tried again: it lasts so long and one request more;
   * default: each has all its tries
   */
  constructor(parts: {
    readonly objects: ReadObjects;
    readonly account: string;
    readonly clock: Clock;
    readonly like?: ObjectReader;
    readonly askAgainWithinMs?: number;
  }) {
    this.#nodes = parts.like === undefined ? new LRUCache({ maxSize: keptNodeBytes }) : parts.like.#nodes;
    this.#objects = parts.objects;
    this.#account = parts.account;
    this.#clock = parts.clock;
    this.#askAgainWithinMs = parts.askAgainWithinMs ?? Number.POSITIVE_INFINITY;
  }

  async node(blob: Blob): Promise<Node> {
    if (blob.inline !== undefined) return decodeNode(blob.inline);
    const { hash } = blob;
    const known = this.#nodes.get(hash) ?? this.#underway.get(hash);
    if (known !== undefined) return known;
    const reading = this.#read(hash).finally(() => this.#underway.delete(hash));
    this.#underway.set(hash, reading);
    return reading;
  }

  /** @throws Unavailable, Internal where the object is lost or damaged */
  async bytes(blob: Blob): Promise<Uint8Array> {
    return blob.inline ?? (await this.object(blob.hash));
  }

  /** @throws Unavailable, Internal where the object is lost or damaged */
  async object(hash: Hash): Promise<Uint8Array> {
    return await this.taken(hash, (bytes) => (hashOf(bytes) === hash ? bytes : null));
  }

  /**
   * The same for who compares the bytes himself.
   *
   * @param take what becomes of the bytes, which are its own; null where they are not what the hash is of
   * @throws Unavailable, Internal where the object is lost or damaged; what `take` throws
   */
  async taken<T>(hash: Hash, take: (bytes: Uint8Array) => T | null | Promise<T | null>): Promise<T> {
    const askUntil = this.#clock.monotonic() + this.#askAgainWithinMs;
    let failure = lost(hash);
    for (let attempt = 1; attempt <= tries; attempt++) {
      if (attempt > 1 && this.#clock.monotonic() >= askUntil) break;
      if (attempt > 1) await this.#clock.sleep(firstPauseMs * 2 ** attempt);
      try {
        const bytes = await this.#objects.get(objectKey(this.#account, hash));
        const length = bytes?.length ?? 0;
        const taken = bytes === null ? null : await take(bytes);
        if (taken !== null) return taken;
        failure = bytes === null ? lost(hash) : damaged(hash, length);
      } catch (error) {
        if (!(error instanceof HoldfastError) || !error.retryable) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  /** Where an object would be as a file of this host, for who compares its bytes; null: it is none. */
  placeOf(hash: Hash): string | null {
    return this.#objects.pathOf?.(objectKey(this.#account, hash)) ?? null;
  }

  async #read(hash: Hash): Promise<Node> {
    const bytes = await this.object(hash);
    const node = decodeNode(bytes);
    this.#nodes.set(hash, node, { size: bytes.length + nodeOverheadBytes });
    return node;
  }
}

export function hashOf(bytes: Uint8Array): Hash {
  return createHash('sha256').update(bytes).digest('hex');
}

function lost(hash: Hash): HoldfastError {
  return new HoldfastError(
    'Internal',
    `object ${hash} of a volume is not in the object store: restore it from a backup`,
  );
}

function damaged(hash: Hash, bytes: number): HoldfastError {
  return new HoldfastError(
    'Internal',
    `object ${hash} of a volume is damaged in the object store: its ${bytes} bytes have another hash`,
  );
}
