/** A data key as the store keeps it. */
export interface WrappedKey {
  /** The master key that opens it. */
  readonly keyId: string;
  readonly bytes: Uint8Array;
}

/**
 * Holds the master keys, of which one wraps and all unwrap. Routers alone have one: a process that runs user code never does.
 * Each operation answers or rejects within seconds.
 */
export interface Kms {
  /** Id of the key that wraps now, looked up anew. @throws Unavailable */
  currentKeyId(): Promise<string>;
  /** @param context what the key is for; only the same one unwraps. @throws Unavailable */
  wrap(dataKey: Uint8Array, context: Uint8Array): Promise<WrappedKey>;
  /** @throws Unavailable where the master key is not there, Internal where it does not open it */
  unwrap(wrapped: WrappedKey, context: Uint8Array): Promise<Uint8Array>;
}
