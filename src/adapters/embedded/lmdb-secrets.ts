import type { SecretStore } from '../../common/ports/store.js';
import { bySecretName, decodeSecret, encodeSecret } from '../records/secret-record.js';
import type { LmdbKey, Transactions } from './lmdb-database.js';

const secretKey = (account: string, name: string): LmdbKey => ['secret', account, name];

/** Sealed secrets of accounts. */
export function createLmdbSecrets(database: Transactions): SecretStore {
  return {
    get: (account, name) =>
      database.read(`reading secret ${name}`, (db) => {
        const record = db.get(secretKey(account, name));
        return record === undefined ? null : decodeSecret(record);
      }),
    put: (record, expected) =>
      database.write(`storing secret ${record.name}`, (db) => {
        const key = secretKey(record.account, record.name);
        const stored = db.get(key);
        const stands = stored === undefined ? null : decodeSecret(stored);
        if (stands?.revision === record.revision) return { applied: true };
        if ((stands?.revision ?? null) !== expected) return { applied: false, record: stands };
        db.putSync(key, encodeSecret(record));
        return { applied: true };
      }),
    list: (account) =>
      database.read('listing secrets', (db) => {
        const range = { start: ['secret', account], end: ['secret', account, '\uffff'] };
        return [...db.getRange(range)].map(({ value }) => decodeSecret(value)).sort(bySecretName);
      }),
    delete: (account, name) =>
      database.write(`deleting secret ${name}`, (db) => db.removeSync(secretKey(account, name))),
  };
}
