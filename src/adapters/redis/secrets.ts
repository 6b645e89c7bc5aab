import type { SecretStore } from '../../common/ports/store.js';
import { bySecretName, decodeSecret, encodeSecretBody } from '../records/secret-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Sealed secrets of accounts. */
export function createSecrets(redis: RedisConnection): SecretStore {
  return {
    get: async (account, name) => {
      const record = await redis.run(`reading secret ${name}`, (client) =>
        client.hget(redisKeys.secrets(account), name),
      );
      return record === null ? null : decodeSecret(record);
    },
    put: async (record, expected) => {
      const reply = await redis.script('secretPut', `storing secret ${record.name}`, {
        keys: [redisKeys.secrets(record.account)],
        args: [record.name, expected ?? '', record.revision, encodeSecretBody(record)],
      });
      const [verdict, stands] = reply as [string, (string | null)?];
      if (verdict === 'applied') return { applied: true };
      return { applied: false, record: stands == null ? null : decodeSecret(stands) };
    },
    list: async (account) => {
      const records = await redis.run('listing secrets', (client) => client.hvals(redisKeys.secrets(account)));
      return records.map(decodeSecret).sort(bySecretName);
    },
    delete: async (account, name) => {
      const what = `deleting secret ${name}`;
      return (await redis.run(what, (client) => client.hdel(redisKeys.secrets(account), name))) === 1;
    },
  };
}
