import { join } from 'node:path';
import { createDiskObjectStore } from '../../adapters/disk/disk-object-store.js';
import { type BusHub, createBusHub } from '../../adapters/embedded/in-process-bus.js';
import { createLmdbStore } from '../../adapters/embedded/lmdb-store.js';
import { systemClock } from '../../adapters/system/clock.js';
import type { Services } from './services.js';

/** For one machine: an LMDB store and the objects in a folder, and a bus within this process. */
export interface EmbeddedServices extends Services {
  /** A connection of its own for each part, so that one of them can go without the others. */
  readonly hub: BusHub;
  close(): Promise<void>;
}

/** @param folder made where it is missing. @throws Unavailable */
export function openEmbeddedServices(folder: string): EmbeddedServices {
  const path = join(folder, 'store');
  const store = createLmdbStore({ path, clock: systemClock });
  const hub = createBusHub({ clock: systemClock });
  return {
    store,
    storeConfig: { kind: 'lmdb', path },
    bus: hub.connect(),
    hub,
    objects: createDiskObjectStore({ folder: join(folder, 'objects') }),
    // All of it is in this process.
    hosts: [],
    close: () => store.close(),
  };
}
