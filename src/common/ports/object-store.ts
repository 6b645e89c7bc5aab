/** Immutable bytes by key: bundles now, volume chunks later. Keys are path-like, `bundles/<sha256>`, of `[A-Za-z0-9._/-]`. */
export interface ObjectStore {
  /** Atomic: a reader sees all of it or nothing. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  get(key: string): Promise<Uint8Array | null>;
  has(key: string): Promise<boolean>;
  delete(key: string): Promise<void>;
}
