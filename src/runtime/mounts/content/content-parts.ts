import type { ObjectReader } from '../../../common/volumes/object-reader.js';
import type { ContentCache } from './content-cache.js';
import type { LocalChunks } from './local-chunk.js';

/** What the bytes of a mount's files come from and go to. */
export interface ContentParts {
  readonly cache: ContentCache;
  readonly locals: LocalChunks;
  readonly reader: Pick<ObjectReader, 'bytes'>;
}
