import type { InstanceKey } from '../../common/ids.js';
import type { AlarmStore } from '../../common/ports/alarm-store.js';
import { encodeStateRecord } from '../records/state-record.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';
import { isCurrent, readRecord, recordKey } from './lmdb-state.js';

/** When to look at an instance, and the instances in the order of that. */
const lookKey = (account: string, key: InstanceKey): LmdbKey => ['alarm', account, key];
const dueKey = (account: string, atMs: number, key: InstanceKey): LmdbKey => ['alarm-due', account, atMs, key];

/** Alarms, in the durable state of their instances, and when to look at whom (A1). */
export function createLmdbAlarms(database: Transactions): AlarmStore {
  const { clock } = database;
  return {
    expect: (account, key, atMs) =>
      database.write(`expecting the alarm of instance ${key}`, (db) => {
        const now = lookAt(db, account, key);
        // Earlier in any case: who has claimed it, and found nothing before this, must see that it is expected again.
        move(db, { account, key }, now !== null && now <= atMs ? now - 1 : atMs);
      }),
    claim: async (account, { limit, forMs, aheadMs = 0 }) => {
      // Nearly always nobody is, and a transaction that writes would go to the disk.
      const isAnyDue = await database.read(
        'looking for alarms',
        (db) => due(db, { account, untilMs: clock.now() + aheadMs }, 1).length > 0,
      );
      if (!isAnyDue) return { nowMs: clock.now(), claims: [] };
      return database.write('claiming alarms', (db) => {
        const nowMs = clock.now();
        const untilMs = nowMs + forMs;
        const keys = due(db, { account, untilMs: nowMs + aheadMs }, limit);
        for (const key of keys) move(db, { account, key }, untilMs);
        return { nowMs, claims: keys.map((key) => ({ key, untilMs })) };
      });
    },
    lookAgain: (account, { key, untilMs }, atMs) =>
      database.write(`looking at the alarm of instance ${key}`, (db) => {
        if (lookAt(db, account, key) === untilMs) move(db, { account, key }, atMs);
      }),
    get: (key) => database.read(`reading the alarm of instance ${key}`, (db) => readRecord(db, key)?.alarm ?? null),
    ended: (owner, id, retryAfterMs) =>
      database.write(`ending the alarm of instance ${owner.key}`, (db) => {
        if (!isCurrent(db, owner)) return 'stale';
        const record = readRecord(db, owner.key);
        const alarm = record?.alarm ?? null;
        if (record === null || alarm?.id !== id) return { dueMs: null };
        const dueMs = retryAfterMs === null ? null : clock.now() + retryAfterMs;
        const again = dueMs === null ? null : { ...alarm, dueMs, failures: alarm.failures + 1 };
        db.putSync(recordKey(owner.key), encodeStateRecord({ ...record, alarm: again }));
        return { dueMs };
      }),
  };
}

function due(
  db: LmdbTable,
  { account, untilMs }: { readonly account: string; readonly untilMs: number },
  limit: number,
): InstanceKey[] {
  const range = { start: ['alarm-due', account], end: ['alarm-due', account, untilMs, '\uffff'], limit };
  return [...db.getKeys(range)].map((found) => String(found[3]) as InstanceKey);
}

function lookAt(db: LmdbTable, account: string, key: InstanceKey): number | null {
  const at = db.get(lookKey(account, key));
  return at === undefined ? null : Number(at);
}

function move(db: LmdbTable, of: { readonly account: string; readonly key: InstanceKey }, atMs: number | null): void {
  const { account, key } = of;
  const before = lookAt(db, account, key);
  if (before !== null) db.removeSync(dueKey(account, before, key));
  if (atMs === null) {
    db.removeSync(lookKey(account, key));
    return;
  }
  db.putSync(lookKey(account, key), String(atMs));
  db.putSync(dueKey(account, atMs, key), '');
}
