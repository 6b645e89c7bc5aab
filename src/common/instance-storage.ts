/** Which entries `list` reads, and from which end. */
export interface StorageListOptions {
  /** Keys that begin with it. */
  readonly prefix?: string;
  /** Keys from this one on. */
  readonly start?: string;
  /** Keys before this one. */
  readonly end?: string;
  /** At most so many; default: all. */
  readonly limit?: number;
  /** From the last key to the first. */
  readonly reverse?: boolean;
}

/** Changes that are made together or not at all. A key may stand in one of both only. */
export interface StorageBatch {
  readonly put?: Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;
  readonly delete?: readonly string[];
}

/**
 * What one instance keeps beyond its worker: values by key, until it is closed. Only the newest activation reads and writes them
 * (D1), an answer of a call leaves after all that was written before it is stored (D3).
 *
 * A key is a string of 1 to 512 bytes of UTF-8, keys are ordered by these bytes. A value is whatever can travel in a call, up to
 * 131 072 bytes encoded.
 */
export interface InstanceStorage {
  /** Undefined where there is none. @throws InvalidArgument, InstanceClosed after its end */
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** The value as it is now. @throws InvalidArgument, NotSerializable, PayloadTooLarge, PendingLimitExceeded, InstanceClosed */
  put(key: string, value: unknown): Promise<void>;
  /** Whether there is one or not. @throws InvalidArgument, PendingLimitExceeded, InstanceClosed */
  delete(key: string): Promise<void>;
  /** By key, in the order of keys. @throws InvalidArgument, InstanceClosed */
  list<T = unknown>(options?: StorageListOptions): Promise<Map<string, T>>;
  /** At most 128 changes and 1 MiB. @throws InvalidArgument, NotSerializable, PayloadTooLarge, PendingLimitExceeded, InstanceClosed */
  batch(changes: StorageBatch): Promise<void>;
}

export const maxStorageKeyBytes = 512;
/** Encoded. */
export const maxStorageValueBytes = 131_072;
export const maxBatchChanges = 128;
/** Keys and values of one atomic change of the store. */
export const maxCommitBytes = 1_048_576;
