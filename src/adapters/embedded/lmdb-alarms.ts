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
    claim: async (account, { limit, forMs, ahead = { fromMs: 0, withinMs: 0 } }) => {
      // Nearly always nobody is, and a transaction that writes would go to the disk.
      const isAnyDue = await database.read('looking for alarms', (db) => {
        const nowMs = clock.now();
        const early = { account, fromMs: Math.max(nowMs, ahead.fromMs), untilMs: nowMs + ahead.withinMs };
        return [{ account, untilMs: nowMs }, early].some((range) => due(db, range, 1).length > 0);
      });
      if (!isAnyDue) return { nowMs: clock.now(), claims: [], seenMs: ahead.fromMs };
      return database.write('claiming alarms', (db) => {
        const nowMs = clock.now();
        const untilMs = nowMs + forMs;
        const fromMs = Math.max(nowMs, ahead.fromMs);
        const lastMs = nowMs + ahead.withinMs;
        const now = due(db, { account, untilMs: nowMs }, limit);
        const room = limit - now.length;
        const early = room > 0 ? due(db, { account, fromMs, untilMs: lastMs }, room) : [];
        for (const { key } of [...now, ...early]) move(db, { account, key }, untilMs);
        const claims = [...now, ...early].map(({ key }, i) => ({ key, untilMs, isAhead: i >= now.length }));
        return { nowMs, claims, seenMs: early.length < room ? lastMs : (early.at(-1)?.atMs ?? ahead.fromMs) };
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
  { account, fromMs, untilMs }: { readonly account: string; readonly fromMs?: number; readonly untilMs: number },
  limit: number,
): { readonly key: InstanceKey; readonly atMs: number }[] {
  if (fromMs !== undefined && fromMs >= untilMs) return [];
  const after = fromMs === undefined ? [] : [fromMs, '\uffff'];
  const range = { start: ['alarm-due', account, ...after], end: ['alarm-due', account, untilMs, '\uffff'], limit };
  return [...db.getKeys(range)].map((found) => ({ key: String(found[3]) as InstanceKey, atMs: Number(found[2]) }));
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
