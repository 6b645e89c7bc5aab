import type { CommitRecord, HeldCommit } from '../../common/ports/volume-store.js';
import type { LmdbKey, LmdbTable } from './lmdb-database.js';

/** Commits of a volume, oldest first. */
export const historyKey = (account: string, id: string, place: number): LmdbKey => ['history', account, id, place];
export const placeKey = (account: string, id: string, commitId: string): LmdbKey => ['commit', account, id, commitId];

/** A commit that is in the history. */
export function readCommit(db: LmdbTable, account: string, { volumeId, commitId }: HeldCommit): CommitRecord | null {
  const place = db.get(placeKey(account, volumeId, commitId));
  const record = place === undefined ? undefined : db.get(historyKey(account, volumeId, Number(place)));
  return record === undefined ? null : (JSON.parse(record) as CommitRecord);
}
