import type { DeploymentRecord } from '../../common/manifest.js';
import type { AppStore } from '../../common/ports/store.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Deployments by app and version. */
export function createApps(redis: RedisConnection): AppStore {
  async function get(account: string, app: string, version?: number): Promise<DeploymentRecord | null> {
    const reply = await redis.script('appGet', `reading app ${app}`, {
      keys: [redisKeys.app(account, app)],
      args: [version ?? ''],
    });
    if (reply === null) return null;
    const [found, record] = reply as [string, string];
    return { ...(JSON.parse(record) as Omit<DeploymentRecord, 'version'>), version: Number(found) };
  }

  return {
    publish: async (deployment) => {
      const { account, app } = deployment;
      // First, in another slot: a name without a deployment is left out of the list, the other way round it were hidden.
      await redis.run(`entering app ${app}`, (client) => client.sadd(redisKeys.apps(account), app));
      const version = await redis.script('appPublish', `publishing app ${app}`, {
        keys: [redisKeys.app(account, app)],
        args: [JSON.stringify(deployment)],
      });
      return { ...deployment, version: Number(version) };
    },
    get,
    list: async (account) => {
      const names = await redis.run(`listing apps`, (client) => client.smembers(redisKeys.apps(account)));
      const deployments = await Promise.all(names.sort().map((app) => get(account, app)));
      return deployments.filter((deployment) => deployment !== null);
    },
  };
}
