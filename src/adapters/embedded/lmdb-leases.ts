import type { LeaseRecord, LeaseState } from '../../common/lease.js';
import type { LeaseStore } from '../../common/ports/store.js';
import { storeQuarantined } from '../records/quarantine.js';
import { releasedLease, releasedTtlMs } from '../records/released-lease.js';
import type { LmdbKey, Transactions } from './lmdb-database.js';
import { quarantineLeft } from './lmdb-owner.js';

/** Monotonic time, which every process of this host reads alike, for a lease; wall time for how long a release is kept. */
type StoredLease =
  | { readonly phase: 'held'; readonly lease: LeaseRecord; readonly expiresAt: number; readonly ttlMs: number }
  | { readonly phase: 'released'; readonly untilMs: number };

const leaseKey = (bootId: string): LmdbKey => ['lease', bootId];

/** Leases of the boots of one host (S6). */
export function createLmdbLeases(database: Transactions): LeaseStore {
  const { clock } = database;

  function stateOf(record: string | undefined): LeaseState {
    if (record === undefined) return { phase: 'absent' };
    const stored = JSON.parse(record) as StoredLease;
    if (stored.phase === 'released') return stored.untilMs > clock.now() ? { phase: 'released' } : { phase: 'absent' };
    const remainingMs = stored.expiresAt - clock.monotonic();
    // More than its whole life: the host was started again and its monotonic time began anew.
    if (remainingMs <= 0 || remainingMs > stored.ttlMs) return { phase: 'absent' };
    return { phase: 'held', lease: stored.lease, remainingMs };
  }

  function held(lease: LeaseRecord, ttlMs: number): string {
    return JSON.stringify({ phase: 'held', lease, expiresAt: clock.monotonic() + ttlMs, ttlMs } satisfies StoredLease);
  }

  return {
    create: (lease, ttlMs) =>
      database.write(`creating the lease of boot ${lease.bootId}`, (db) => {
        if (stateOf(db.get(leaseKey(lease.bootId))).phase === 'released') throw releasedLease(lease.bootId);
        quarantineLeft(db, database); // begins
        // Nobody asks for the lease of an old boot for long, and boots are few: the next one tidies up.
        const all = [...db.getRange({ start: ['lease'], end: ['lease', '\uffff'] })];
        for (const { key, value } of all) if (stateOf(value).phase === 'absent') db.removeSync(key);
        db.putSync(leaseKey(lease.bootId), held(lease, ttlMs));
      }),
    renew: (bootId, ttlMs) =>
      database.write(`renewing the lease of boot ${bootId}`, (db) => {
        const state = stateOf(db.get(leaseKey(bootId)));
        // Asked in any case: it begins with the first one who asks (S10).
        const left = quarantineLeft(db, database);
        if (state.phase === 'absent' && left > 0) return 'forgotten';
        if (state.phase !== 'held') return 'refused';
        db.putSync(leaseKey(bootId), held(state.lease, ttlMs));
        return 'renewed';
      }),
    release: (bootId) =>
      database.write(`releasing the lease of boot ${bootId}`, (db) => {
        const released: StoredLease = { phase: 'released', untilMs: clock.now() + releasedTtlMs };
        db.putSync(leaseKey(bootId), JSON.stringify(released));
      }),
    read: (bootId) => {
      const what = `reading the lease of boot ${bootId}`;
      return database.read(what, (db) => {
        const state = stateOf(db.get(leaseKey(bootId)));
        const left = state.phase === 'absent' ? quarantineLeft(db, database) : 0;
        if (left > 0) throw storeQuarantined(what, left);
        return state;
      });
    },
  };
}
