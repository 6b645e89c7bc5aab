import type { Clock } from '../common/clock.js';
import type { Store } from '../common/ports/store.js';

/** Which store a worker or router uses; may hold a password, so it never travels in a process's arguments. */
export type StoreConfig =
  | { readonly kind: 'redis'; readonly url: string }
  | { readonly kind: 'lmdb'; readonly path: string };

/** Loads the one adapter that the configuration names. @throws InvalidArgument, Unavailable */
export async function openStore(config: StoreConfig, clock: Clock): Promise<Store> {
  switch (config.kind) {
    case 'redis': {
      const { createRedisStore } = await import('../adapters/redis/redis-store.js');
      return createRedisStore({ url: config.url, clock });
    }
    case 'lmdb': {
      const { createLmdbStore } = await import('../adapters/embedded/lmdb-store.js');
      return createLmdbStore({ path: config.path, clock });
    }
    default:
      return config satisfies never;
  }
}
