import type { Clock } from '../clock.js';
import { HoldfastError } from '../errors.js';
import type { ObjectStore } from '../ports/object-store.js';
import type { NodeSink } from './change-directory.js';
import { type Blob, type Hash, inlineBytes } from './entry.js';
import { type CommitHolds, holdOver, type KeptHold } from './hold.js';
import { objectKey } from './object-key.js';
import { hashOf } from './object-reader.js';

/** In memory and on their way, at most; one larger object goes alone. */
const maxUnderwayBytes = 134_217_728;
const maxUnderway = 32;
const maxReservedAtOnce = 512;
/** Shorter objects are sent without a question: it would take as long. */
const askFromBytes = 65_536;
const tries = 5;
/** Where nothing has come through for so long, what fails is not tried again: the object store stalls. */
const stalledMs = 30_000;
const firstPauseMs = 50;
const condemnedPauseMs = 100;

export interface UploadParts {
  readonly objects: Pick<ObjectStore, 'has' | 'put'>;
  readonly holds: CommitHolds;
  readonly clock: Clock;
  readonly hold: KeptHold;
}

/** What an upload came to, in objects and bytes that were really sent. */
export interface UploadTotals {
  readonly objects: number;
  readonly bytes: number;
}

interface Waiting {
  readonly hash: Hash;
  resolve(): void;
  reject(error: unknown): void;
}

/**
 * Brings objects to the object store, each once, many at a time within a bound.
 *
 * I1. An object is reserved under the hold before it is looked for or sent: nothing that is found is removed before the commit.
 * I2. `flushed` resolves only when every object is there; the first failure fails it, and all that come later.
 */
export class Uploads implements NodeSink {
  readonly #parts: UploadParts;
  /** Sent, or on the way. */
  readonly #known = new Set<Hash>();
  readonly #room: (() => void)[] = [];
  #reserving: Waiting[] = [];
  #underway = 0;
  #underwayBytes = 0;
  #whenIdle: (() => void) | null = null;
  #failure: unknown = null;
  /** When something came through. */
  #movedAt = Number.NEGATIVE_INFINITY;
  #objects = 0;
  #bytes = 0;

  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  get totals(): UploadTotals {
    return { objects: this.#objects, bytes: this.#bytes };
  }

  /** A directory's node, or a list of chunks. */
  async store(bytes: Uint8Array): Promise<Blob> {
    return bytes.length <= inlineBytes ? { inline: bytes } : { hash: await this.object(bytes) };
  }

  /** Resolves when there is room for it on the way, with its hash. The bytes must not change after that. @throws what an upload before it failed with */
  async object(bytes: Uint8Array): Promise<Hash> {
    return await this.known(hashOf(bytes), bytes.length, () => bytes);
  }

  /** The same of bytes that were compared with their hash; they are asked for only where the object store does not have them. */
  async known(hash: Hash, length: number, bytes: () => Uint8Array | Promise<Uint8Array>): Promise<Hash> {
    while (!this.#hasRoom(length) && this.#failure === null) {
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
    if (this.#failure !== null) throw this.#failure;
    if (this.#known.has(hash)) return hash;
    this.#known.add(hash);
    this.#underway += 1;
    this.#underwayBytes += length;
    void this.#upload(hash, length, bytes)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#done(length));
    return hash;
  }

  /** @throws what an upload failed with */
  async flushed(): Promise<void> {
    while (this.#underway > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }

  #hasRoom(bytes: number): boolean {
    if (this.#underway === 0) return true;
    return this.#underway < maxUnderway && this.#underwayBytes + bytes <= maxUnderwayBytes;
  }

  #done(bytes: number): void {
    this.#underway -= 1;
    this.#underwayBytes -= bytes;
    for (const go of this.#room.splice(0)) go();
    if (this.#underway === 0) this.#whenIdle?.();
  }

  async #upload(hash: Hash, length: number, bytesOf: () => Uint8Array | Promise<Uint8Array>): Promise<void> {
    const { objects, hold } = this.#parts;
    const key = objectKey(hold.account, hash);
    await this.#reserve(hash);
    if (length >= askFromBytes && (await this.#retried(() => objects.has(key)))) return;
    const bytes = await bytesOf();
    await this.#retried(() => objects.put(key, bytes));
    this.#objects += 1;
    this.#bytes += bytes.length;
  }

  /** Together with others of this turn of the event loop. */
  #reserve(hash: Hash): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#reserving.push({ hash, resolve, reject });
      if (this.#reserving.length === 1) setImmediate(() => void this.#reserveAll());
    });
  }

  async #reserveAll(): Promise<void> {
    const waiting = this.#reserving;
    this.#reserving = [];
    for (let from = 0; from < waiting.length; from += maxReservedAtOnce) {
      const part = waiting.slice(from, from + maxReservedAtOnce);
      await this.#reserveSome(part).catch((error: unknown) => {
        for (const one of part) one.reject(error);
      });
    }
  }

  async #reserveSome(waiting: readonly Waiting[]): Promise<void> {
    const { holds, hold, clock } = this.#parts;
    let left = waiting;
    for (;;) {
      const hashes = left.map(({ hash }) => hash);
      const condemned = await this.#retried(() => holds.reserve(hold.account, hold.id, hashes));
      if (condemned === null) throw holdOver(hold.id, 'has lapsed');
      const refused = new Set(condemned);
      for (const one of left) if (!refused.has(one.hash)) one.resolve();
      left = left.filter(({ hash }) => refused.has(hash));
      if (left.length === 0) return;
      // A sweep is removing them: a moment later they can be put there again.
      await clock.sleep(condemnedPauseMs, hold.over);
    }
  }

  async #retried<T>(attempt: () => Promise<T>): Promise<T> {
    const { clock, hold } = this.#parts;
    const began = clock.monotonic();
    for (let pauseMs = firstPauseMs, left = tries - 1; ; pauseMs *= 2, left--) {
      hold.over.throwIfAborted();
      try {
        const result = await attempt();
        this.#movedAt = clock.monotonic();
        return result;
      } catch (error) {
        const isStalled = clock.monotonic() - Math.max(began, this.#movedAt) >= stalledMs;
        const isLast = left === 0 || isStalled || this.#failure !== null;
        if (isLast || !(error instanceof HoldfastError) || !error.retryable) throw error;
        await clock.sleep(pauseMs, hold.over);
      }
    }
  }
}
