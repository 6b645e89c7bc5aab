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

/**
 * Objects of an account's volumes, each compared with its hash: an object store that is slow, away or wrong is asked again,
 * and then fails the read. Wrong bytes are never handed out.
 */
export class ObjectReader implements NodeSource {
  readonly #objects: Pick<ObjectStore, 'get'>;
  readonly #account: string;
  readonly #clock: Clock;
  readonly #nodes: LRUCache<Hash, Node>;
  readonly #underway = new Map<Hash, Promise<Node>>();

  /** @param parts.like a reader of the same objects, whose directories it has too */
  constructor(parts: {
    readonly objects: Pick<ObjectStore, 'get'>;
    readonly account: string;
    readonly clock: Clock;
    readonly like?: ObjectReader;
  }) {
    this.#nodes = parts.like === undefined ? new LRUCache({ maxSize: keptNodeBytes }) : parts.like.#nodes;
    this.#objects = parts.objects;
    this.#account = parts.account;
    this.#clock = parts.clock;
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
    let failure = lost(hash);
    for (let attempt = 1; attempt <= tries; attempt++) {
      if (attempt > 1) await this.#clock.sleep(firstPauseMs * 2 ** attempt);
      try {
        const bytes = await this.#objects.get(objectKey(this.#account, hash));
        if (bytes !== null && hashOf(bytes) === hash) return bytes;
        failure = bytes === null ? lost(hash) : damaged(hash, bytes.length);
      } catch (error) {
        if (!(error instanceof HoldfastError) || !error.retryable) throw error;
        failure = error;
      }
    }
    throw failure;
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
