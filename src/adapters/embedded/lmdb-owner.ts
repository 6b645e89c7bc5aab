import type { LmdbTable, Transactions } from './lmdb-database.js';

const ownerKey = ['owner'];

/**
 * How long the server that answers is in quarantine, ms; at most zero: it is not (S10). Beside the records stands which server had
 * them last, and since when, so that whoever takes over finds the name of another one.
 */
export function quarantineLeft(db: LmdbTable, { server, clock }: Transactions): number {
  if (server === null) return 0;
  const [id, since] = db.get(ownerKey)?.split(' ') ?? [];
  if (id === server.id) return Number(since) + server.quarantineMs - clock.now();
  // Of a store that nobody has used nothing can be forgotten.
  const left = id === undefined ? 0 : server.quarantineMs;
  db.putSync(ownerKey, `${server.id} ${clock.now() + left - server.quarantineMs}`);
  return left;
}
