import type { Clock } from '../../common/clock.js';
import type { Store } from '../../common/ports/store.js';
import type { ConnectionListener } from '../connection-watch.js';
import { defaultOpTimeoutMs } from '../deadline.js';
import { defaultQuarantineMs } from '../records/quarantine.js';
import { createAccountKeys } from './account-keys.js';
import { createAlarms } from './alarms.js';
import { createApps } from './apps.js';
import { createCalls } from './calls.js';
import { RedisConnection } from './connection.js';
import { createLeases } from './leases.js';
import { createLive } from './live.js';
import { Owners } from './owners.js';
import { createPins } from './pins.js';
import { createSecrets } from './secrets.js';
import { createState } from './state.js';
import { createVolumeHolds } from './volume-holds.js';
import { createVolumes } from './volumes.js';

/**
 * A store in Redis: one server, a Cluster, or behind Sentinels, as the url says.
 * @throws InvalidArgument for a url that cannot be read, Unavailable when Redis does not answer
 */
export async function createRedisStore(options: {
  readonly url: string;
  /** Deadline of each operation. Default 3 s. */
  readonly opTimeoutMs?: number;
  /** For how long nothing moves after a server was replaced (S10). Default: for leases of the default times. */
  readonly quarantineMs?: number;
  readonly clock: Clock;
  readonly onConnection?: ConnectionListener;
}): Promise<Store> {
  const { url, opTimeoutMs = defaultOpTimeoutMs, quarantineMs = defaultQuarantineMs, clock, onConnection } = options;
  const watched = onConnection === undefined ? {} : { onConnection };
  const redis = await RedisConnection.open({ url, opTimeoutMs, clock, ...watched });
  const owners = new Owners(redis, quarantineMs);
  return {
    pins: createPins(redis, clock, owners),
    leases: createLeases(redis, owners),
    state: createState(redis),
    alarms: createAlarms(redis),
    calls: createCalls(redis),
    apps: createApps(redis),
    keys: createAccountKeys(redis),
    secrets: createSecrets(redis),
    volumes: createVolumes(redis),
    holds: createVolumeHolds(redis),
    live: createLive(redis),
    ping: async () => {
      await redis.run('ping', (client) => client.ping());
    },
    servers: () => redis.servers(),
    close: () => redis.close(),
  };
}
