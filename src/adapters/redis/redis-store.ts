import type { Clock } from '../../common/clock.js';
import type { Store } from '../../common/ports/store.js';
import { defaultOpTimeoutMs } from '../deadline.js';
import { createAccountKeys } from './account-keys.js';
import { createAlarms } from './alarms.js';
import { createApps } from './apps.js';
import { RedisConnection } from './connection.js';
import { createLeases } from './leases.js';
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
  readonly clock: Clock;
}): Promise<Store> {
  const { url, opTimeoutMs = defaultOpTimeoutMs, clock } = options;
  const redis = await RedisConnection.open({ url, opTimeoutMs, clock });
  return {
    pins: createPins(redis, clock),
    leases: createLeases(redis),
    state: createState(redis),
    alarms: createAlarms(redis),
    apps: createApps(redis),
    keys: createAccountKeys(redis),
    secrets: createSecrets(redis),
    volumes: createVolumes(redis),
    holds: createVolumeHolds(redis),
    ping: async () => {
      await redis.run('ping', (client) => client.ping());
    },
    close: () => redis.close(),
  };
}
