import type { ConnectionListener } from '../../adapters/connection-watch.js';
import { createNatsBus } from '../../adapters/nats/nats-bus.js';
import { parseNatsUrl } from '../../adapters/nats/url.js';
import { createRedisStore } from '../../adapters/redis/redis-store.js';
import { parseRedisUrl } from '../../adapters/redis/url.js';
import { systemClock } from '../../adapters/system/clock.js';
import type { Logger } from '../../common/context.js';
import { leaseTimes } from '../../common/lease.js';
import { hostOf } from './host-of.js';
import { openObjectStore } from './object-store.js';
import type { Services } from './services.js';

/** NATS, Redis, and an object store that all routers and workers share. @throws Unavailable, InvalidArgument */
export async function openRealServices(options: {
  readonly natsUrl: string;
  readonly redisUrl: string;
  /** A folder or a url. */
  readonly objectStore: string;
  readonly leaseTtlMs: number;
  /** What the servers show for this connection. */
  readonly name: string;
  readonly log: Logger;
}): Promise<Services & { close(): Promise<void> }> {
  const { natsUrl, redisUrl, objectStore, leaseTtlMs, name, log } = options;
  const { objects, hosts } = await openObjectStore(objectStore);
  const { storeTimeoutMs: opTimeoutMs, ttlMs, graceMs } = leaseTimes(leaseTtlMs);
  const store = await createRedisStore({
    ...{ url: redisUrl, opTimeoutMs, quarantineMs: ttlMs + graceMs },
    clock: systemClock,
    onConnection: logged('redis', log),
  });
  try {
    const bus = await createNatsBus({ url: natsUrl, name, clock: systemClock, onConnection: logged('nats', log) });
    return {
      store,
      storeConfig: { kind: 'redis', url: redisUrl },
      bus,
      objects,
      objectsPlace: objectStore,
      hosts: [
        ...[parseNatsUrl(natsUrl).servers ?? []].flat().map(hostOf),
        ...parseRedisUrl(redisUrl).nodes.map(({ host }) => host),
        ...hosts,
      ],
      close: async () => {
        await bus.close();
        await store.close();
      },
    };
  } catch (e) {
    await store.close();
    throw e;
  }
}

function logged(server: 'redis' | 'nats', log: Logger): ConnectionListener {
  return ({ phase, ...fields }) => (phase === 'lost' ? log.warn : log.info)(`${server}.${phase}`, fields);
}
