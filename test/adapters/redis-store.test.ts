import { Redis } from 'ioredis';
import { pinAfter } from '../../src/adapters/records/pin-change.js';
import { createRedisStore } from '../../src/adapters/redis/redis-store.js';
import { systemClock } from '../../src/adapters/system/clock.js';
import type { InstanceKey } from '../../src/common/ids.js';
import type { Pin, PinChange } from '../../src/common/pin.js';
import { encodePin } from '../../src/wire/pin-record.js';
import { describeStore } from '../contracts/store-contract.js';
import { startRedis, startRedisCluster } from '../servers.js';

/** What a server whose clock is an hour ahead would have written. */
async function plantAhead(client: Pick<Redis, 'set'>, key: InstanceKey, change: PinChange): Promise<Pin> {
  const epoch = (Date.now() + 3_600_000) * 1_000;
  const pin = pinAfter(change, { epoch, generation: epoch });
  await client.set(`hf:pin:{${key}}`, encodePin(pin));
  return pin;
}

describeStore('a store in one Redis', async () => {
  const server = await startRedis();
  const connect = () => createRedisStore({ url: server.url, clock: systemClock });
  const store = await connect();
  const client = new Redis(server.url);
  return {
    store,
    connect,
    changeAhead: (key, change) => plantAhead(client, key, change),
    [Symbol.asyncDispose]: async () => {
      client.disconnect();
      await store.close();
      await server[Symbol.asyncDispose]();
    },
  };
});

describeStore('a store in a Redis Cluster of three nodes', async () => {
  const { Cluster } = await import('ioredis');
  const servers = await startRedisCluster();
  const connect = () => createRedisStore({ url: servers.url, clock: systemClock });
  const store = await connect();
  const client = new Cluster(servers.nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
  return {
    store,
    connect,
    changeAhead: (key, change) => plantAhead(client, key, change),
    [Symbol.asyncDispose]: async () => {
      client.disconnect();
      await store.close();
      await servers[Symbol.asyncDispose]();
    },
  };
});
