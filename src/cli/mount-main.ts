/** The process of a worker's mounts: see runtime/mounts. Its worker starts it, with the socket as file descriptor 3. */
import { Socket } from 'node:net';
import { openS3Bucket } from '../adapters/s3/s3-bucket.js';
import { systemClock, systemRandom } from '../adapters/system/clock.js';
import { obeyMountOrders } from '../runtime/mounts/mount-orders.js';
import { openStore, type StoreConfig } from './open-store.js';
import { openObjectStore } from './parts/object-store.js';

/** What the worker sends: the places of its stores. */
interface Stores {
  readonly store: StoreConfig;
  /** A folder or a url. */
  readonly objects: string;
}

// It ends when its worker has, and commits before: a supervisor that signals the whole service must not take it before.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
// stderr is the worker's and may be gone with it.
process.stderr.on('error', () => undefined);

await obeyMountOrders({
  socket: new Socket({ fd: 3, readable: true, writable: true }),
  clock: systemClock,
  random: systemRandom,
  openStores: async (stores) => {
    const { store, objects } = stores as Stores;
    const opened = await openObjectStore(objects);
    return { store: await openStore(store, systemClock), objects: opened.objects };
  },
  openBucket: (location, keys) => openS3Bucket(location, keys, systemClock),
  chunkThread: new URL('../runtime/mounts/content/chunk-thread-main.js', import.meta.url),
  log: (line) => process.stderr.write(`${line}\n`),
});
process.exit(0);
