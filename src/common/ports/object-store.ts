/**
 * Immutable bytes by key: bundles, arguments, chunks of volumes. Keys are path-like, `bundles/<sha256>`, of `[A-Za-z0-9._/-]`. Each
 * operation ends within 30 s, and a delete that was not answered within that has no effect later.
 */
export interface ObjectStore {
  /** Atomic: a reader sees all of it or nothing. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  get(key: string): Promise<Uint8Array | null>;
  /** A part of an object; shorter where that ends before, null where it is not there. */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array | null>;
  has(key: string): Promise<boolean>;
  delete(key: string): Promise<void>;
  /** Keys that begin with a folder's name and `/`, in pages; what is put or deleted meanwhile may or may not be there. */
  list(folder: string): AsyncIterable<readonly string[]>;
  /** Where objects are files of this host: the path of one, also of one that is not there. Such a file never changes. Else null. */
  readonly pathOf: ((key: string) => string) | null;
  /** Null: others reach objects through us only. */
  readonly presigner: Presigner | null;
}

/** Lets others reach one object without credentials, for a short time. */
export interface Presigner {
  get(key: string): Promise<SignedRequest>;
  /** @param sha256 hex; other bytes are refused */
  put(key: string, sha256: string): Promise<SignedRequest>;
}

export interface SignedRequest {
  readonly url: string;
  /** To be sent exactly so. */
  readonly headers: Readonly<Record<string, string>>;
}
