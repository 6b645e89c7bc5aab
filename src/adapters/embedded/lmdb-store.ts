import type { Clock } from '../../common/clock.js';
import type { Store } from '../../common/ports/store.js';
import { defaultOpTimeoutMs } from '../deadline.js';
import { LmdbDatabase } from './lmdb-database.js';
import { storeIn } from './lmdb-records.js';

/**
 * A store in a folder of this host, for one machine: all its processes may open it at once, each with the host's clock.
 * @throws Unavailable when the folder cannot be opened
 */
export function createLmdbStore(options: {
  readonly path: string;
  /** Deadline of each operation. Default 3 s. */
  readonly opTimeoutMs?: number;
  readonly clock: Clock;
}): Store {
  const { path, opTimeoutMs = defaultOpTimeoutMs, clock } = options;
  const database = new LmdbDatabase({ path, opTimeoutMs, clock });
  return { ...storeIn(database), close: () => database.close() };
}
