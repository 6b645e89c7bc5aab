import type { Hash } from '../volumes/entry.js';

/** Of one object. */
export interface MoveLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Moves objects of one account's volumes for who cannot reach the object store, and does not know the account either. */
export interface ObjectMover {
  /** @throws Unavailable, DeadlineExceeded, InvalidArgument where the bytes have another hash */
  put(hash: Hash, bytes: Uint8Array, limits: MoveLimits): Promise<void>;
  /** Null: it is not there. @throws Unavailable, DeadlineExceeded */
  get(hash: Hash, limits: MoveLimits): Promise<Uint8Array | null>;
}
