import type { KeyStore, TokenRecord } from '../../common/ports/store.js';
import { decodeSigningKeys, decodeTokens, encodeSigningKey } from '../records/key-record.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';

const signingKey = (account: string, id: string): LmdbKey => ['signing', account, id];
const tokenKey = (account: string, id: string): LmdbKey => ['token', account, id];

/** Signing keys and tokens of accounts. */
export function createLmdbAccountKeys(database: Transactions): KeyStore {
  return {
    signingKeys: async (account, first) => {
      const read = (db: LmdbTable) =>
        decodeSigningKeys([...db.getRange(within('signing', account))].map(({ value }) => value));
      const known = await database.read('reading the signing keys', read);
      if (known.length > 0) return known;
      return database.write('making the first signing key', (db) => {
        // Another process may have made one since.
        if (read(db).length === 0) db.putSync(signingKey(account, first.id), encodeSigningKey(first));
        return read(db);
      });
    },
    addSigningKey: (account, key) =>
      database.write('adding a signing key', (db) => {
        db.putSync(signingKey(account, key.id), encodeSigningKey(key));
      }),
    removeSigningKey: (account, id) =>
      database.write(`removing signing key ${id}`, (db) => db.removeSync(signingKey(account, id))),
    putToken: (token) =>
      database.write(`storing token ${token.id}`, (db) => {
        db.putSync(tokenKey(token.account, token.id), JSON.stringify(token));
      }),
    getToken: (account, id) =>
      database.read(`reading token ${id}`, (db) => {
        const record = db.get(tokenKey(account, id));
        return record === undefined ? null : (JSON.parse(record) as TokenRecord);
      }),
    listTokens: (account) =>
      database.read('listing tokens', (db) =>
        decodeTokens([...db.getRange(within('token', account))].map(({ value }) => value)),
      ),
    deleteToken: (account, id) => database.write(`deleting token ${id}`, (db) => db.removeSync(tokenKey(account, id))),
  };
}

function within(kind: string, account: string): { readonly start: LmdbKey; readonly end: LmdbKey } {
  return { start: [kind, account], end: [kind, account, '\uffff'] };
}
