import type { Store } from '../../common/ports/store.js';
import { createLmdbAccountKeys } from './lmdb-account-keys.js';
import { createLmdbAlarms } from './lmdb-alarms.js';
import { createLmdbApps } from './lmdb-apps.js';
import { createLmdbCalls } from './lmdb-calls.js';
import type { Transactions } from './lmdb-database.js';
import { createLmdbLeases } from './lmdb-leases.js';
import { createLmdbLive } from './lmdb-live.js';
import { createLmdbPins } from './lmdb-pins.js';
import { createLmdbSecrets } from './lmdb-secrets.js';
import { createLmdbState } from './lmdb-state.js';
import { createLmdbVolumeHolds } from './lmdb-volume-holds.js';
import { createLmdbVolumes } from './lmdb-volumes.js';

/** The store whose records are in that database. */
export function storeIn(database: Transactions): Omit<Store, 'close'> {
  return {
    pins: createLmdbPins(database),
    leases: createLmdbLeases(database),
    state: createLmdbState(database),
    alarms: createLmdbAlarms(database),
    calls: createLmdbCalls(database),
    apps: createLmdbApps(database),
    keys: createLmdbAccountKeys(database),
    secrets: createLmdbSecrets(database),
    volumes: createLmdbVolumes(database),
    holds: createLmdbVolumeHolds(database),
    live: createLmdbLive(database),
    ping: () => database.read('ping', () => undefined),
    servers: () => database.read('asking for the server', () => [database.server?.id ?? 'embedded']),
  };
}
