/** The product's process of mounts, which also counts what it takes from the object store. */
import { statSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { createDiskObjectStore } from '../../src/adapters/disk/disk-object-store.js';
import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';
import { openStore } from '../../src/cli/open-store.js';
import type { ObjectStore } from '../../src/common/ports/object-store.js';
import { obeyMountOrders } from '../../src/runtime/mounts/mount-orders.js';
import type { MountStores } from './volume-mounts.js';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.stderr.on('error', () => undefined);

await obeyMountOrders({
  socket: new Socket({ fd: 3, readable: true, writable: true }),
  clock: systemClock,
  random: systemRandom,
  openStores: async (stores) => {
    const { storePath, objects, fetched } = stores as MountStores;
    return {
      store: await openStore({ kind: 'lmdb', path: storePath }, systemClock),
      objects: counted(createDiskObjectStore({ folder: objects }), fetched),
    };
  },
  openBucket: () => {
    throw new Error('the benchmark has no buckets');
  },
  chunkThread: new URL('../../dist/runtime/mounts/content/chunk-thread-main.js', import.meta.url),
  log: (line) => process.stderr.write(`${line}\n`),
});
process.exit(0);

/** @param file for the number of bytes so far */
function counted(objects: ObjectStore, file: string): ObjectStore {
  let total = 0;
  const add = (bytes: number): void => {
    total += bytes;
    writeFileSync(file, String(total));
  };
  const count = <T extends Uint8Array | null>(bytes: T): T => {
    add(bytes?.length ?? 0);
    return bytes;
  };
  return {
    ...objects,
    get: async (key) => count(await objects.get(key)),
    pathOf: (key) => {
      const path = objects.pathOf?.(key) ?? '';
      add(statSync(path).size);
      return path;
    },
    getRange: async (key, offset, length) => count(await objects.getRange(key, offset, length)),
  };
}
