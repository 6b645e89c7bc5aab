import type { Hash } from '../../../common/volumes/entry.js';
import type { ObjectReader } from '../../../common/volumes/object-reader.js';
import type { ChunkCache, WantedChunk } from './chunk-cache.js';
import type { ChunkThreads } from './chunk-threads.js';

/** The chunks of a host, for the volumes of one account. */
export interface ContentCache extends Pick<ChunkCache, 'pathOf' | 'adopt' | 'aheadBytes'> {
  fetch(chunk: WantedChunk): Promise<void>;
  fetchAhead(chunk: WantedChunk): void;
}

/** @param reader of the account's objects; @param keep as `keepVerified` */
export function contentCache(
  cache: ChunkCache,
  reader: Pick<ObjectReader, 'taken' | 'placeOf'>,
  keep: ChunkThreads['keep'],
): ContentCache {
  const bring = async (hash: Hash, path: string): Promise<number> => {
    const from = reader.placeOf(hash);
    const linked = from === null ? null : await keep({ hash, from, path });
    return linked ?? (await reader.taken(hash, (bytes) => keep({ hash, bytes, path })));
  };
  return {
    pathOf: cache.pathOf.bind(cache),
    adopt: cache.adopt.bind(cache),
    aheadBytes: cache.aheadBytes,
    fetch: (chunk) => cache.fetch(chunk, bring),
    fetchAhead: (chunk) => cache.fetchAhead(chunk, bring),
  };
}
