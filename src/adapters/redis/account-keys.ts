import type { KeyStore, TokenRecord } from '../../common/ports/store.js';
import { decodeSigningKeys, decodeTokens, encodeSigningKey } from '../records/key-record.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Signing keys and tokens of accounts. */
export function createAccountKeys(redis: RedisConnection): KeyStore {
  return {
    signingKeys: async (account, first) => {
      const reply = await redis.script('signingKeys', 'reading the signing keys', {
        keys: [redisKeys.signingKeys(account)],
        args: [first.id, encodeSigningKey(first)],
      });
      return decodeSigningKeys(reply as string[]);
    },
    addSigningKey: async (account, key) => {
      await redis.run('adding a signing key', (client) =>
        client.hset(redisKeys.signingKeys(account), key.id, encodeSigningKey(key)),
      );
    },
    removeSigningKey: async (account, id) => {
      const removed = await redis.run(`removing signing key ${id}`, (client) =>
        client.hdel(redisKeys.signingKeys(account), id),
      );
      return removed === 1;
    },
    putToken: async (token) => {
      await redis.run(`storing token ${token.id}`, (client) =>
        client.hset(redisKeys.tokens(token.account), token.id, JSON.stringify(token)),
      );
    },
    getToken: async (account, id) => {
      const record = await redis.run(`reading token ${id}`, (client) => client.hget(redisKeys.tokens(account), id));
      return record === null ? null : (JSON.parse(record) as TokenRecord);
    },
    listTokens: async (account) => {
      const records = await redis.run('listing tokens', (client) => client.hvals(redisKeys.tokens(account)));
      return decodeTokens(records);
    },
    deleteToken: async (account, id) => {
      const deleted = await redis.run(`deleting token ${id}`, (client) => client.hdel(redisKeys.tokens(account), id));
      return deleted === 1;
    },
  };
}
