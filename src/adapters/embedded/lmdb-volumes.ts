import type { CommitRecord, PublishResult, VolumeRecord, VolumeStore } from '../../common/ports/volume-store.js';
import { sortedVolumes } from '../records/volume-record.js';
import { historyKey, placeKey, readCommit } from './lmdb-commits.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';
import { endHold, isHeld, keepSinceSweep } from './lmdb-volume-holds.js';

type Named = Pick<VolumeRecord, 'account' | 'name' | 'id'>;

interface StoredVolume {
  readonly volume: VolumeRecord;
  /** Ms since 1970; null: never. */
  readonly endsAtMs: number | null;
  readonly head: CommitRecord | null;
  /** Absent: it is bound to none. */
  readonly host?: string;
}

const forgottenAtOnce = 1_000;
const volumeKey = (account: string, name: string): LmdbKey => ['volume', account, name];

/** Volumes of accounts, their heads and histories. */
export function createLmdbVolumes(database: Transactions): VolumeStore {
  const nowMs = (): number => database.clock.now();
  return {
    create: (volume, ttlMs) =>
      database.write(`making volume ${volume.name}`, (db) => {
        const stands = readVolume(db, volume);
        if (stands !== null && !isOver(stands, nowMs()))
          return { created: stands.volume.id === volume.id, volume: stands.volume };
        if (stands !== null) removeVolume(db, stands.volume);
        writeVolume(db, { volume, endsAtMs: ttlMs === null ? null : nowMs() + ttlMs, head: null });
        return { created: true, volume };
      }),
    find: (account, name) =>
      database.read(`reading volume ${name}`, (db) => {
        const stored = readVolume(db, { account, name });
        return stored === null || isOver(stored, nowMs()) ? null : { volume: stored.volume, head: stored.head };
      }),
    list: (account) =>
      database.read('listing volumes', (db) => sortedVolumes(allVolumes(db, account).map(({ volume }) => volume))),
    delete: (account, name, id) =>
      database.write(`deleting volume ${name}`, (db) => {
        const stored = readVolume(db, { account, name });
        if (stored?.volume.id !== id) return false;
        removeVolume(db, stored.volume);
        return true;
      }),
    bind: (named, to) =>
      database.write(`binding volume ${named.name}`, (db) => {
        const stored = readVolume(db, named);
        if (stored?.volume.id !== named.id) return null;
        const host = stored.host ?? to ?? '';
        if (host !== '' && stored.host === undefined) writeVolume(db, { ...stored, host });
        return host;
      }),
    extend: (named, ttlMs) =>
      database.write(`renewing volume ${named.name}`, (db) => {
        const stored = readVolume(db, named);
        if (stored?.volume.id !== named.id || stored.endsAtMs === null || isOver(stored, nowMs())) return false;
        writeVolume(db, { ...stored, endsAtMs: nowMs() + ttlMs });
        return true;
      }),
    expire: (account) =>
      database.write('deleting volumes whose lease is over', (db) => {
        const over = allVolumes(db, account).filter((stored) => isOver(stored, nowMs()));
        for (const { volume } of over) removeVolume(db, volume);
        return over.map(({ volume }) => volume.name);
      }),
    ...commitsOf(database),
  };
}

function commitsOf(database: Transactions): Pick<VolumeStore, 'commit' | 'commits' | 'forgetBefore' | 'publish'> {
  return {
    commit: (account, volumeId, commitId) =>
      database.read(`reading commit ${commitId}`, (db) => readCommit(db, account, { volumeId, commitId })),
    commits: (account, volumeId, { limit, after }) =>
      database.read(`reading the history of ${volumeId}`, (db) => {
        const place = after === null ? null : db.get(placeKey(account, volumeId, after));
        if (place === undefined) return [];
        const start = historyKey(account, volumeId, place === null ? Number.MAX_SAFE_INTEGER : Number(place));
        const range = { start, end: historyKey(account, volumeId, -1), reverse: true, exclusiveStart: true, limit };
        return [...db.getRange(range)].map(({ value }) => JSON.parse(value) as CommitRecord);
      }),
    forgetBefore: (account, volumeId, commitId) =>
      database.write(`shortening the history of ${volumeId}`, (db) => {
        const place = Number(db.get(placeKey(account, volumeId, commitId)) ?? -1);
        const [start, end] = [historyKey(account, volumeId, -1), historyKey(account, volumeId, place)];
        const old = place < 0 ? [] : [...db.getKeys({ start, end, limit: forgottenAtOnce })];
        for (const key of old) {
          const { id } = JSON.parse(db.get(key) ?? '{}') as CommitRecord;
          db.removeSync(key);
          db.removeSync(placeKey(account, volumeId, id));
        }
        return old.length;
      }),
    publish: (volume, commit, on) =>
      database.write(`publishing commit ${commit.id} of volume ${volume.name}`, (db) =>
        publish(db, { volume, commit, nowMs: database.clock.now() }, on),
      ),
  };
}

function publish(
  db: LmdbTable,
  what: { readonly volume: Named; readonly commit: CommitRecord; readonly nowMs: number },
  { holdId, expected }: { readonly holdId: string; readonly expected: string | null },
): PublishResult {
  const { volume, commit, nowMs } = what;
  const { account, id } = volume;
  const stored = readVolume(db, volume);
  if (stored?.volume.id !== id || isOver(stored, nowMs)) return { outcome: 'gone' };
  if (db.get(placeKey(account, id, commit.id)) !== undefined) return { outcome: 'published' };
  if (!isHeld(db, { account, holdId, nowMs })) return { outcome: 'lapsed' };
  if ((stored.head?.id ?? null) !== expected) return { outcome: 'moved', head: stored.head };
  const place = stored.head === null ? 0 : Number(db.get(placeKey(account, id, stored.head.id)) ?? 0) + 1;
  db.putSync(historyKey(account, id, place), JSON.stringify(commit));
  db.putSync(placeKey(account, id, commit.id), String(place));
  writeVolume(db, { ...stored, head: commit });
  keepSinceSweep(db, { account, holdId, nowMs });
  endHold(db, account, holdId);
  return { outcome: 'published' };
}

function readVolume(db: LmdbTable, { account, name }: Pick<Named, 'account' | 'name'>): StoredVolume | null {
  const record = db.get(volumeKey(account, name));
  return record === undefined ? null : (JSON.parse(record) as StoredVolume);
}

function allVolumes(db: LmdbTable, account: string): StoredVolume[] {
  const range = { start: ['volume', account], end: ['volume', account, '\uffff'] };
  return [...db.getRange(range)].map(({ value }) => JSON.parse(value) as StoredVolume);
}

function writeVolume(db: LmdbTable, stored: StoredVolume): void {
  db.putSync(volumeKey(stored.volume.account, stored.volume.name), JSON.stringify(stored));
}

function removeVolume(db: LmdbTable, { account, name, id }: Named): void {
  db.removeSync(volumeKey(account, name));
  for (const kind of ['history', 'commit']) {
    const keys = [...db.getKeys({ start: [kind, account, id], end: [kind, account, `${id}\0`] })];
    for (const key of keys) db.removeSync(key);
  }
}

function isOver({ endsAtMs }: StoredVolume, nowMs: number): boolean {
  return endsAtMs !== null && endsAtMs <= nowMs;
}
