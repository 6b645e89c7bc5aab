import type { InstanceKey } from '../../common/ids.js';
import type { Alarm } from '../../common/ports/alarm-store.js';
import type { StateEntry, StateOwner, StatePage, StateRange, StateStore } from '../../common/ports/state-store.js';
import { mostPerPage, pageBytes } from '../records/state-page.js';
import { decodeStateRecord, encodeStateRecord, type StateRecord } from '../records/state-record.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';

/** In hexadecimal: in the order of bytes, whatever is in it, as in every other store. */
const entryKey = (key: InstanceKey, name: string): LmdbKey => ['state', key, Buffer.from(name, 'utf8').toString('hex')];
/** Of what is kept beside it. */
export const recordKey = (key: InstanceKey): LmdbKey => ['state-record', key];
/** Behind every name. */
const end = 'g';

/** Durable state of instances, each change one transaction with the look at the pin (D1). */
export function createLmdbState(database: Transactions): StateStore {
  return {
    commit: (owner, { sequence, changes, alarm }) =>
      database.write(`committing the state of instance ${owner.key}`, (db) => {
        if (!isCurrent(db, owner)) return 'stale';
        const { key, epoch } = owner;
        const last = readRecord(db, key);
        // A request that was given up and arrives late (D4).
        if (last?.epoch === epoch && last.sequence >= sequence) return 'committed';
        for (const { key: name, value } of changes) {
          if (value === null) db.removeSync(entryKey(key, name));
          else db.putSync(entryKey(key, name), Buffer.from(value).toString('base64'));
        }
        const set = alarm === undefined ? (last?.alarm ?? null) : newAlarm(alarm, `${epoch}.${sequence}`);
        db.putSync(recordKey(key), encodeStateRecord({ epoch, sequence, alarm: set }));
        return 'committed';
      }),
    get: (owner, name) =>
      database.read(`reading the state of instance ${owner.key}`, (db) => {
        if (!isCurrent(db, owner)) return 'stale';
        const value = db.get(entryKey(owner.key, name));
        return { value: value === undefined ? null : Buffer.from(value, 'base64') };
      }),
    alarm: (owner) =>
      database.read(`reading the alarm of instance ${owner.key}`, (db) =>
        isCurrent(db, owner) ? { alarm: readRecord(db, owner.key)?.alarm ?? null } : 'stale',
      ),
    list: (owner, range) =>
      database.read(`listing the state of instance ${owner.key}`, (db) =>
        isCurrent(db, owner) ? pageOf(db, owner.key, range) : 'stale',
      ),
  };
}

/** All of it, in the transaction in which its instance is closed (D5). */
export function removeState(db: LmdbTable, key: InstanceKey): void {
  const keys = [...db.getKeys({ start: ['state', key], end: ['state', key, end] })];
  for (const each of [...keys, recordKey(key)]) db.removeSync(each);
}

export function readRecord(db: LmdbTable, key: InstanceKey): StateRecord | null {
  const record = db.get(recordKey(key));
  return record === undefined ? null : decodeStateRecord(record);
}

function newAlarm(atMs: number | null, id: string): Alarm | null {
  return atMs === null ? null : { id, atMs, dueMs: atMs, failures: 0 };
}

/** Whether its code may run, by the header of the pin: it has no life that ends, as tombstones have. */
export function isCurrent(db: LmdbTable, { key, epoch }: StateOwner): boolean {
  const [, pinEpoch, state] = /^0\n\d+ (\d+) (\w+) /.exec(db.get(['pin', key]) ?? '') ?? [];
  return pinEpoch === String(epoch) && (state === 'active' || state === 'draining' || state === 'closing');
}

function pageOf(db: LmdbTable, key: InstanceKey, { from, to, limit, reverse }: StateRange): StatePage {
  const [low, high] = [from === null ? '' : hexOf(from), to === null ? end : hexOf(to)];
  const most = Math.min(limit, mostPerPage);
  // Its first bound is inclusive and its second is not, whatever the direction.
  const bounds = reverse
    ? { start: ['state', key, high], end: ['state', key, low], exclusiveStart: true, inclusiveEnd: true, reverse }
    : { start: ['state', key, low], end: ['state', key, high] };
  const entries: StateEntry[] = [];
  let bytes = 0;
  for (const { key: found, value: text } of db.getRange({ ...bounds, limit: most + 1 })) {
    if (entries.length === most || bytes >= pageBytes) return { entries, isEnd: false };
    const entry = { key: Buffer.from(String(found[2]), 'hex').toString('utf8'), value: Buffer.from(text, 'base64') };
    entries.push(entry);
    bytes += entry.key.length + entry.value.length;
  }
  return { entries, isEnd: true };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
