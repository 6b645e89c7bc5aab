import type { Clock, Monotonic } from '../../common/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Transport } from '../../common/ports/channel.js';
import type { MoveLimits, ObjectMover } from '../../common/ports/object-mover.js';
import { Turns } from '../../common/turns.js';
import type { Hash } from '../../common/volumes/entry.js';
import { encodeBody } from '../../wire/frames/frame-bodies.js';
import {
  type ObjectPieceBody,
  type ObjectRangeBody,
  objectMethods,
  objectPieceBytes,
  objectRangeBytes,
} from '../../wire/frames/object-bodies.js';

const atOnce = 6;
/** Of one piece: its worker asks the object store, which has half of it. */
const pieceWithinMs = 60_000;

/**
 * Objects of volumes, moved by the container's worker, piece by piece: each is asked for when the one before has come, so that
 * what is on its way is bounded on both sides.
 */
export class TunnelObjects implements ObjectMover {
  readonly #unary: Transport['unary'];
  readonly #clock: Clock;
  readonly #turns = new Turns(atOnce);
  #lastUpload = 0;

  constructor(unary: Transport['unary'], clock: Clock) {
    this.#unary = unary;
    this.#clock = clock;
  }

  async put(hash: Hash, bytes: Uint8Array, limits: MoveLimits): Promise<void> {
    const rest = this.#rest(limits);
    await this.#turns.take(async () => {
      const upload = ++this.#lastUpload;
      const pieceAt = (offset: number): Uint8Array => {
        const piece = bytes.subarray(offset, offset + objectPieceBytes);
        const body: ObjectPieceBody = { upload, hash, totalBytes: bytes.length, offset, bytes: piece };
        return encodeBody(body);
      };
      try {
        for (let offset = 0; offset === 0 || offset < bytes.length; offset += objectPieceBytes)
          await this.#unary(objectMethods.put, pieceAt(offset), rest());
      } catch (error) {
        // Nothing more comes, and the worker has room taken for all of it: a piece that fits nowhere tells it so.
        if (bytes.length > objectPieceBytes)
          this.#unary(objectMethods.put, pieceAt(bytes.length), { timeoutMs: pieceWithinMs }).catch(() => undefined);
        throw error;
      }
    });
  }

  async get(hash: Hash, limits: MoveLimits): Promise<Uint8Array | null> {
    const rest = this.#rest(limits);
    return await this.#turns.take(async () => {
      const pieces: Uint8Array[] = [];
      for (let offset = 0; ; offset += objectRangeBytes) {
        const body: ObjectRangeBody = { hash, offset, length: objectRangeBytes };
        const piece = await this.#unary(objectMethods.get, encodeBody(body), rest()).catch(missing);
        if (piece === null) return null;
        pieces.push(piece);
        if (piece.length < objectRangeBytes) return pieces.length === 1 ? piece : Buffer.concat(pieces);
      }
    });
  }

  #rest({ timeoutMs, signal }: MoveLimits): () => { readonly timeoutMs: number; readonly signal?: AbortSignal } {
    const deadline: Monotonic = this.#clock.monotonic() + timeoutMs;
    return () => {
      const leftMs = deadline - this.#clock.monotonic();
      if (leftMs <= 0)
        throw new HoldfastError('DeadlineExceeded', `an object of a volume did not move within ${timeoutMs} ms`);
      return { timeoutMs: Math.ceil(Math.min(leftMs, pieceWithinMs)), ...(signal === undefined ? {} : { signal }) };
    };
  }
}

function missing(error: unknown): null {
  if (isHoldfastError(error, 'NotFound')) return null;
  throw error;
}
