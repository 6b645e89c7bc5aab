/** Records of one network file system; the one with an empty id has the names of all. */
export interface LiveId {
  readonly account: string;
  readonly id: string;
}

export interface LiveEntry {
  readonly key: string;
  readonly value: string;
}

/** What a key is to have, or has; null: nothing. */
export interface LiveValue {
  readonly key: string;
  readonly value: string | null;
}

/** Small records by key, of network file systems. Whoever changes some names what he has seen of them; there are no owners. */
export interface LiveStore {
  /** In the order of `keys`; null: there is none. All as they were at one moment. */
  read(fs: LiveId, keys: readonly string[]): Promise<(string | null)[]>;
  /** Keys that begin with a prefix, in an order of the store's; `after` is the last page's last key. */
  list(
    fs: LiveId,
    page: { readonly prefix: string; readonly after: string | null; readonly limit: number },
  ): Promise<LiveEntry[]>;
  /** All or nothing, in one step. False: one of those that were seen is another now, and nothing was done. */
  commit(fs: LiveId, seen: readonly LiveValue[], writes: readonly LiveValue[]): Promise<boolean>;
}
