import type { LiveId, LiveStore } from '../../common/ports/live-store.js';
import type { LmdbKey, Transactions } from './lmdb-database.js';

/** In hexadecimal: in the order of bytes, as in every other store. */
const recordKey = ({ account, id }: LiveId, key: string): LmdbKey => ['live', account, id, hexOf(key)];
/** Behind every name. */
const end = 'g';

/** Records of network file systems. */
export function createLmdbLive(database: Transactions): LiveStore {
  return {
    read: (fs, keys) =>
      database.read('reading a network file system', (db) => keys.map((key) => db.get(recordKey(fs, key)) ?? null)),
    list: (fs, { prefix, after, limit }) =>
      database.read('listing a network file system', (db) => {
        const { account, id } = fs;
        const range = {
          start: recordKey(fs, after ?? prefix),
          exclusiveStart: after !== null,
          end: ['live', account, id, `${hexOf(prefix)}${end}`] satisfies LmdbKey,
          limit,
        };
        return [...db.getRange(range)].map(({ key, value }) => ({ key: textOf(String(key[3])), value }));
      }),
    commit: (fs, seen, writes) =>
      database.write('changing a network file system', (db) => {
        if (seen.some(({ key, value }) => (db.get(recordKey(fs, key)) ?? null) !== value)) return false;
        for (const { key, value } of writes) {
          if (value === null) db.removeSync(recordKey(fs, key));
          else db.putSync(recordKey(fs, key), value);
        }
        return true;
      }),
  };
}

function hexOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('hex');
}

function textOf(hex: string): string {
  return Buffer.from(hex, 'hex').toString('utf8');
}
