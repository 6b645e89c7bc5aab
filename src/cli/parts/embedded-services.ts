import { join } from 'node:path';
import { type BusHub, createBusHub } from '../../adapters/embedded/in-process-bus.js';
import { createLmdbStore } from '../../adapters/embedded/lmdb-store.js';
import { systemClock } from '../../adapters/system/clock.js';
import { openObjectStore } from './object-store.js';
import type { Services } from './services.js';

/** For one machine: an LMDB store, objects, and a bus within this process. */
export interface EmbeddedServices extends Services {
  /** A connection of its own for each part, so that one of them can go without the others. */
  readonly hub: BusHub;
  close(): Promise<void>;
}

/**
 * @param folder made where it is missing
 * @param objectStore default: in the folder, too
 * @throws Unavailable, InvalidArgument
 */
export async function openEmbeddedServices(
  folder: string,
  objectStore = join(folder, 'objects'),
): Promise<EmbeddedServices> {
  const { objects, hosts } = await openObjectStore(objectStore);
  const path = join(folder, 'store');
  const store = createLmdbStore({ path, clock: systemClock });
  const hub = createBusHub({ clock: systemClock });
  return {
    store,
    storeConfig: { kind: 'lmdb', path },
    bus: hub.connect(),
    hub,
    objects,
    objectsPlace: objectStore,
    // All else is in this process.
    hosts,
    close: () => store.close(),
  };
}
