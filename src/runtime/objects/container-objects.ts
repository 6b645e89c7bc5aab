import { createHash, type Hash as Hashing } from 'node:crypto';
import type { Clock, Timer } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import { largestChunkBytes } from '../../common/volumes/chunk-layout.js';
import type { Hash } from '../../common/volumes/entry.js';
import { objectKey } from '../../common/volumes/object-key.js';
import {
  type ObjectPieceBody,
  type ObjectRangeBody,
  objectMethods,
  readObjectPiece,
  readObjectRange,
} from '../../wire/frames/object-bodies.js';
import { ByteRoom } from './byte-room.js';

/** What all containers of a worker share. */
export interface ObjectAccess {
  readonly objects: Pick<ObjectStore, 'put' | 'getRange'>;
  readonly account: string;
  /** Of all of them. */
  readonly room: ByteRoom;
  readonly clock: Clock;
}

interface Upload {
  readonly hash: Hash;
  readonly bytes: Buffer;
  /** Of what has come: each piece as it comes, as all of it at once would hold up the worker for a tenth of a second. */
  readonly hashing: Hashing;
  filledBytes: number;
  idle: Timer | null;
}

/** Of one worker. */
const roomBytes = 268_435_456;
const mostUploads = 16;
/** To the next piece. */
const idleMs = 60_000;
const nothing = new Uint8Array(0);

export function objectRoom(): ByteRoom {
  return new ByteRoom(roomBytes);
}

/**
 * Moves objects of volumes for one container, with its worker's rights, in the account's folder and nowhere else: what it
 * sends is taken where it has the hash that it is named by. Who has reserved an object, and who needs it, is between the
 * container and the router (VolumeHolds).
 *
 * I1. What it holds in memory for the container is in `#room` and in that of the worker, also where nobody waits for it any more.
 * I2. An upload ends: with its last piece, a piece that does not fit, a minute without one, or the container.
 * I3. Who asks is answered when its signal aborts, whatever the object store does.
 */
export class ContainerObjects {
  readonly #access: ObjectAccess;
  /** Room for one object of the largest size: one container does not take what all have. */
  readonly #room = new ByteRoom(largestChunkBytes);
  readonly #uploads = new Map<number, Upload>();
  #uploadsUnderway = 0;

  constructor(access: ObjectAccess) {
    this.#access = access;
  }

  /** Null: the request is not about objects. @throws InvalidArgument, NotFound, Unavailable, the signal's reason */
  answer(method: string, request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> | null {
    if (method === objectMethods.get) return untilAborted(this.#read(request, signal), signal);
    if (method === objectMethods.put) return untilAborted(this.#store(request, signal), signal);
    return null;
  }

  close(): void {
    for (const upload of this.#uploads.keys()) this.#drop(upload);
  }

  async #read(request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { hash, offset, length }: ObjectRangeBody = readObjectRange(request);
    const { objects, account } = this.#access;
    await this.#take(length, signal);
    try {
      const range = await objects.getRange(objectKey(account, hash), offset, length);
      if (range !== null) return range;
    } finally {
      this.#give(length);
    }
    throw new HoldfastError('NotFound', `object ${hash} is not in the object store`);
  }

  async #store(request: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const piece = readObjectPiece(request);
    if (piece.offset === 0) await this.#begin(piece, signal);
    const upload = this.#uploads.get(piece.upload);
    if (upload === undefined || !isNext(upload, piece)) {
      this.#drop(piece.upload);
      throw new HoldfastError(
        'InvalidArgument',
        `upload ${piece.upload} has no place for bytes from ${piece.offset} on`,
      );
    }
    upload.bytes.set(piece.bytes, upload.filledBytes);
    upload.hashing.update(piece.bytes);
    upload.filledBytes += piece.bytes.length;
    if (upload.filledBytes < upload.bytes.length) this.#waitForNext(piece.upload, upload);
    else await this.#finish(piece.upload, upload);
    return nothing;
  }

  async #begin({ upload, hash, totalBytes }: ObjectPieceBody, signal: AbortSignal): Promise<void> {
    if (totalBytes > largestChunkBytes)
      throw new HoldfastError('PayloadTooLarge', `an object of a volume has at most ${largestChunkBytes} bytes`);
    if (this.#uploadsUnderway >= mostUploads)
      throw new HoldfastError('Unavailable', `the container sends ${mostUploads} objects already; try again`);
    this.#uploadsUnderway += 1;
    try {
      await this.#take(totalBytes, signal);
    } catch (error) {
      this.#uploadsUnderway -= 1;
      throw error;
    }
    // Its number is taken: whoever had it before has lost it.
    this.#drop(upload);
    const bytes = Buffer.allocUnsafe(totalBytes);
    this.#uploads.set(upload, { hash, bytes, hashing: createHash('sha256'), filledBytes: 0, idle: null });
  }

  #waitForNext(number: number, upload: Upload): void {
    upload.idle?.cancel();
    upload.idle = this.#access.clock.after(idleMs, () => this.#drop(number));
  }

  async #finish(number: number, upload: Upload): Promise<void> {
    const { objects, account } = this.#access;
    const { hash, hashing, bytes } = upload;
    upload.idle?.cancel();
    // Its memory is in use until the object store has it, also when the container is gone.
    this.#uploads.delete(number);
    try {
      const actual = hashing.digest('hex');
      if (actual !== hash)
        throw new HoldfastError(
          'InvalidArgument',
          `an object came with SHA-256 ${actual}, it was announced as ${hash}`,
        );
      await objects.put(objectKey(account, hash), bytes);
    } finally {
      this.#ended(upload);
    }
  }

  #drop(number: number): void {
    const upload = this.#uploads.get(number);
    if (upload === undefined) return;
    this.#uploads.delete(number);
    upload.idle?.cancel();
    this.#ended(upload);
  }

  #ended({ bytes }: Upload): void {
    this.#uploadsUnderway -= 1;
    this.#give(bytes.length);
  }

  async #take(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#room.take(bytes, signal);
    try {
      await this.#access.room.take(bytes, signal);
    } catch (error) {
      this.#room.give(bytes);
      throw error;
    }
  }

  #give(bytes: number): void {
    this.#access.room.give(bytes);
    this.#room.give(bytes);
  }
}

/** What settles later settles for nobody. @throws the signal's reason */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
  });
}

function isNext({ hash, bytes, filledBytes }: Upload, piece: ObjectPieceBody): boolean {
  return (
    piece.hash === hash &&
    piece.totalBytes === bytes.length &&
    piece.offset === filledBytes &&
    piece.offset + piece.bytes.length <= bytes.length &&
    (piece.bytes.length > 0 || bytes.length === 0)
  );
}
