import type { Clock } from '../../common/clock.js';
import type { Store } from '../../common/ports/store.js';
import { defaultOpTimeoutMs } from '../deadline.js';
import { createLmdbAccountKeys } from './lmdb-account-keys.js';
import { createLmdbApps } from './lmdb-apps.js';
import { LmdbDatabase } from './lmdb-database.js';
import { createLmdbLeases } from './lmdb-leases.js';
import { createLmdbPins } from './lmdb-pins.js';
import { createLmdbSecrets } from './lmdb-secrets.js';

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
  return {
    pins: createLmdbPins(database),
    leases: createLmdbLeases(database),
    apps: createLmdbApps(database),
    keys: createLmdbAccountKeys(database),
    secrets: createLmdbSecrets(database),
    ping: () => database.read('ping', () => undefined),
    close: () => database.close(),
  };
}
