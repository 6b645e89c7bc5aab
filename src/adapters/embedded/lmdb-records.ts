import type { Store } from '../../common/ports/store.js';
import { createLmdbAccountKeys } from './lmdb-account-keys.js';
import { createLmdbApps } from './lmdb-apps.js';
import type { Transactions } from './lmdb-database.js';
import { createLmdbLeases } from './lmdb-leases.js';
import { createLmdbPins } from './lmdb-pins.js';
import { createLmdbSecrets } from './lmdb-secrets.js';

/** The store whose records are in that database. */
export function storeIn(database: Transactions): Omit<Store, 'close'> {
  return {
    pins: createLmdbPins(database),
    leases: createLmdbLeases(database),
    apps: createLmdbApps(database),
    keys: createLmdbAccountKeys(database),
    secrets: createLmdbSecrets(database),
    ping: () => database.read('ping', () => undefined),
  };
}
