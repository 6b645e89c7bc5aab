import type { VolumeHolds } from '../../common/ports/volume-store.js';
import { shortened } from '../records/volume-record.js';
import { readCommit } from './lmdb-commits.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';

interface StoredHold {
  readonly endsAtMs: number;
  readonly roots: readonly string[];
}

interface StoredSweep {
  readonly id: string;
  readonly endsAtMs: number;
  /** Of what is condemned at present. */
  readonly batchEndsAtMs: number;
}

/** A hold, at a time. */
interface HoldNow {
  readonly account: string;
  readonly holdId: string;
  readonly nowMs: number;
}

const holdKey = (account: string, id: string): LmdbKey => ['hold', account, id];
const reservedKey = (account: string, hash: string, id: string): LmdbKey => ['reserved', account, hash, id];
const reservesKey = (account: string, id: string, hash: string): LmdbKey => ['reserves', account, id, hash];
const sweepKey = (account: string): LmdbKey => ['sweep', account];
const condemnedKey = (account: string, hash: string): LmdbKey => ['condemned', account, hash];
const sinceKey = (account: string, hash: string): LmdbKey => ['since-sweep', account, hash];

/** Holds on volumes, and sweeps that respect them. */
export function createLmdbVolumeHolds(database: Transactions): VolumeHolds {
  return { ...holdsOf(database), ...sweepsOf(database) };
}

function holdsOf(
  database: Transactions,
): Pick<VolumeHolds, 'hold' | 'holdAlso' | 'renew' | 'reserve' | 'release' | 'heldRoots'> {
  const nowMs = (): number => database.clock.now();
  return {
    hold: (account, { id, ttlMs, commit }) =>
      database.write(`taking hold ${id}`, (db) => {
        const held = commit === null ? null : readCommit(db, account, commit);
        if (commit !== null && held === null) return false;
        const roots = held === null ? [] : [held.root.hash];
        db.putSync(holdKey(account, id), JSON.stringify({ endsAtMs: nowMs() + ttlMs, roots } satisfies StoredHold));
        return true;
      }),
    holdAlso: (account, id, commit) =>
      database.write(`holding commit ${commit.commitId}`, (db) => {
        const hold = readHold(db, { account, holdId: id, nowMs: nowMs() });
        const held = readCommit(db, account, commit);
        if (hold === null || held === null) return false;
        db.putSync(holdKey(account, id), JSON.stringify({ ...hold, roots: [...hold.roots, held.root.hash] }));
        return true;
      }),
    renew: (account, id, ttlMs) =>
      database.write(`renewing hold ${id}`, (db) => {
        const hold = readHold(db, { account, holdId: id, nowMs: nowMs() });
        if (hold === null) return false;
        db.putSync(holdKey(account, id), JSON.stringify({ ...hold, endsAtMs: nowMs() + ttlMs }));
        return true;
      }),
    reserve: (account, id, hashes) =>
      database.write(`reserving ${hashes.length} objects`, (db) => {
        const now = nowMs();
        if (!isHeld(db, { account, holdId: id, nowMs: now })) return null;
        const isCondemned = isSweeping(db, account, now)
          ? (hash: string) => db.get(condemnedKey(account, shortened(hash))) !== undefined
          : () => false;
        const condemned = hashes.filter(isCondemned);
        for (const hash of hashes) {
          if (isCondemned(hash)) continue;
          db.putSync(reservedKey(account, shortened(hash), id), '');
          db.putSync(reservesKey(account, id, shortened(hash)), '');
        }
        return condemned;
      }),
    release: (account, id) => database.write(`releasing hold ${id}`, (db) => endHold(db, account, id)),
    heldRoots: (account) =>
      database.read('reading what is held', (db) =>
        ['hold', 'since-roots'].flatMap((kind) =>
          [...db.getRange(within(kind, account))].flatMap(({ value }) => (JSON.parse(value) as StoredHold).roots),
        ),
      ),
  };
}

function sweepsOf(
  database: Transactions,
): Pick<VolumeHolds, 'beginSweep' | 'renewSweep' | 'condemn' | 'absolve' | 'endSweep'> {
  const nowMs = (): number => database.clock.now();
  return {
    beginSweep: (account, id, ttlMs) =>
      database.write('beginning a sweep', (db) => {
        const [now, sweep] = [nowMs(), readSweep(db, account)];
        if (sweep?.id === id && sweep.endsAtMs > now) return true;
        // One that died may still be removing what it condemned.
        if (sweep !== null && Math.max(sweep.endsAtMs, sweep.batchEndsAtMs) > now) return false;
        for (const kind of ['since-sweep', 'since-roots', 'condemned']) clear(db, kind, account);
        writeSweep(db, account, { id, endsAtMs: now + ttlMs, batchEndsAtMs: 0 });
        return true;
      }),
    renewSweep: (account, id, ttlMs) =>
      database.write('renewing a sweep', (db) => {
        const sweep = ownSweep(db, { account, id, nowMs: nowMs() });
        if (sweep === null) return false;
        writeSweep(db, account, { ...sweep, endsAtMs: nowMs() + ttlMs });
        return true;
      }),
    condemn: ({ account, id, ttlMs }, hashes) =>
      database.write(`condemning ${hashes.length} objects`, (db) => {
        const now = nowMs();
        const sweep = ownSweep(db, { account, id, nowMs: now });
        if (sweep === null) return null;
        endLapsedHolds(db, account, now);
        const condemned = hashes.filter((hash) => !isWanted(db, account, shortened(hash)));
        for (const hash of condemned) db.putSync(condemnedKey(account, shortened(hash)), '');
        writeSweep(db, account, { ...sweep, batchEndsAtMs: now + ttlMs });
        return condemned;
      }),
    absolve: (account, id) =>
      database.write('ending a batch of a sweep', (db) => {
        const sweep = ownSweep(db, { account, id, nowMs: nowMs() });
        if (sweep === null) return;
        clear(db, 'condemned', account);
        writeSweep(db, account, { ...sweep, batchEndsAtMs: 0 });
      }),
    endSweep: (account, id) =>
      database.write('ending a sweep', (db) => {
        if (readSweep(db, account)?.id !== id) return;
        for (const kind of ['since-sweep', 'since-roots', 'condemned']) clear(db, kind, account);
        db.removeSync(sweepKey(account));
      }),
  };
}

export function isHeld(db: LmdbTable, hold: HoldNow): boolean {
  return readHold(db, hold) !== null;
}

/** What was made under this hold is in a commit now: a sweep that goes on has not seen it. */
export function keepSinceSweep(db: LmdbTable, { account, holdId, nowMs }: HoldNow): void {
  const sweep = readSweep(db, account);
  if (sweep === null || sweep.endsAtMs <= nowMs) return;
  for (const hash of reservedBy(db, account, holdId)) db.putSync(sinceKey(account, hash), '');
  // The commit may refer to all that its hold kept, and the sweep may have read this volume's history before.
  const hold = db.get(holdKey(account, holdId));
  if (hold !== undefined) db.putSync(['since-roots', account, holdId], hold);
}

export function endHold(db: LmdbTable, account: string, id: string): void {
  for (const hash of reservedBy(db, account, id)) {
    db.removeSync(reservedKey(account, hash, id));
    db.removeSync(reservesKey(account, id, hash));
  }
  db.removeSync(holdKey(account, id));
}

function endLapsedHolds(db: LmdbTable, account: string, nowMs: number): void {
  for (const { key, value } of [...db.getRange(within('hold', account))]) {
    if ((JSON.parse(value) as StoredHold).endsAtMs <= nowMs) endHold(db, account, String(key[2]));
  }
}

function isWanted(db: LmdbTable, account: string, hash: string): boolean {
  if (db.get(sinceKey(account, hash)) !== undefined) return true;
  const [holder] = db.getKeys({
    start: ['reserved', account, hash],
    end: ['reserved', account, hash, '\uffff'],
    limit: 1,
  });
  return holder !== undefined;
}

function reservedBy(db: LmdbTable, account: string, id: string): string[] {
  const keys = db.getKeys({ start: ['reserves', account, id], end: ['reserves', account, id, '\uffff'] });
  return [...keys].map((key) => String(key[3]));
}

function readHold(db: LmdbTable, { account, holdId, nowMs }: HoldNow): StoredHold | null {
  const record = db.get(holdKey(account, holdId));
  const hold = record === undefined ? null : (JSON.parse(record) as StoredHold);
  return hold !== null && hold.endsAtMs > nowMs ? hold : null;
}

function readSweep(db: LmdbTable, account: string): StoredSweep | null {
  const record = db.get(sweepKey(account));
  return record === undefined ? null : (JSON.parse(record) as StoredSweep);
}

function ownSweep(
  db: LmdbTable,
  { account, id, nowMs }: { readonly account: string; readonly id: string; readonly nowMs: number },
): StoredSweep | null {
  const sweep = readSweep(db, account);
  return sweep?.id === id && sweep.endsAtMs > nowMs ? sweep : null;
}

function isSweeping(db: LmdbTable, account: string, nowMs: number): boolean {
  return (readSweep(db, account)?.batchEndsAtMs ?? 0) > nowMs;
}

function writeSweep(db: LmdbTable, account: string, sweep: StoredSweep): void {
  db.putSync(sweepKey(account), JSON.stringify(sweep));
}

function clear(db: LmdbTable, kind: string, account: string): void {
  for (const key of [...db.getKeys(within(kind, account))]) db.removeSync(key);
}

function within(kind: string, account: string): { readonly start: LmdbKey; readonly end: LmdbKey } {
  return { start: [kind, account], end: [kind, account, '\uffff'] };
}
