import type { InstanceKey } from '../../common/ids.js';
import type { Attestation, Pin, PinChange, PinChangeResult, PinExpectation } from '../../common/pin.js';
import type { PinPage, PinScope, PinStore } from '../../common/ports/store.js';
import { decodePin, encodePin } from '../../wire/pin-record.js';
import { checkPageLimit, decodePosition, encodePosition } from '../records/page.js';
import { checkChange, pinAfter } from '../records/pin-change.js';
import { compareAttested, storeQuarantined } from '../records/quarantine.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';
import { quarantineLeft } from './lmdb-owner.js';
import { removeState } from './lmdb-state.js';

/** A record and when it is over, ms since 1970; 0: never. */
interface StoredPin {
  readonly pin: Pin;
  readonly expiresAtMs: number;
}

/** How many expired tombstones a change removes, so that they never pile up and no change takes long. */
const sweptPerChange = 8;

const pinKey = (key: string): LmdbKey => ['pin', key];
const handleKey = (key: string): LmdbKey => ['handle', key];
const expiryKey = (atMs: number, key: string): LmdbKey => ['expires', atMs, key];
const indexPrefix = ({ account, app, className }: PinScope): LmdbKey => ['index', account, app, className];
const indexKey = (pin: Pin, key: string): LmdbKey => [...indexPrefix(pin.identity), pin.createdAtMs, key];

/** Pins, their handles and the index of them, each change one transaction (S3, S4). */
export function createLmdbPins(database: Transactions): PinStore {
  const nowMs = (): number => database.clock.now();
  return {
    get: (key) => database.read(`reading pin ${key}`, (db) => readStored(db, key, nowMs())?.pin ?? null),
    getMany: (keys) =>
      database.read(`reading ${keys.length} pins`, (db) =>
        keys.map((key) => readStored(db, key, nowMs())?.pin ?? null),
      ),
    change: async (key, change) => {
      checkChange(key, change);
      const what = `changing pin ${key} to ${change.fields.state}`;
      return database.write(what, (db) => {
        const at = { db, key, nowMs: nowMs() };
        const stands = foundAt(at, change);
        if (stands !== null) return stands;
        const left = change.byOwner === true ? 0 : quarantineLeft(db, database);
        if (left > 0) throw storeQuarantined(what, left);
        return applyChange(at, change);
      });
    },
    attest: (key, pin) =>
      database.write(`attesting pin ${key}`, (db) => applyAttested({ db, key, nowMs: nowMs() }, pin)),
    list: async (scope, page) => {
      checkPageLimit(page.limit);
      const after = decodePosition(page.after);
      const start = after ? [...indexPrefix(scope), after.createdAtMs, after.key] : indexPrefix(scope);
      return database.read(`listing ${scope.app}/${scope.className}`, (db) =>
        readPage({ db, scope, start, limit: page.limit, nowMs: nowMs() }),
      );
    },
    handle: (key) =>
      database.read(`reading handle ${key}`, (db) => {
        const record = readStored(db, key, nowMs()) ? db.get(handleKey(key)) : undefined;
        if (record === undefined) return null;
        const [generation, issuedAtMs] = record.split(' ');
        return { generation: Number(generation), issuedAtMs: Number(issuedAtMs) };
      }),
  };
}

interface Change {
  readonly db: LmdbTable;
  readonly key: InstanceKey;
  readonly nowMs: number;
}

/** Null: the change is to be made. */
function foundAt({ db, key, nowMs }: Change, change: PinChange): PinChangeResult | null {
  const old = readStored(db, key, nowMs)?.pin ?? null;
  if (old?.opId === change.opId) return { applied: true, pin: old };
  if (!isExpected(old, change.expect)) return { applied: false, pin: old };
  return null;
}

function applyAttested(at: Change, pin: Pin): Attestation {
  const { db, key, nowMs } = at;
  const old = readStored(db, key, nowMs)?.pin ?? null;
  const compared = compareAttested(pin, old);
  if (compared !== 'newer') return compared;
  db.putSync(handleKey(key), `${pin.generation} ${pin.createdAtMs}`);
  put(at, { pin, old, expiresAtMs: 0 });
  return 'stands';
}

function applyChange(at: Change, change: PinChange): PinChangeResult {
  const { db, key, nowMs } = at;
  sweep(db, nowMs);
  const old = readStored(db, key, nowMs)?.pin ?? null;
  // S2: also when this host's clock went back since the last activation.
  const epoch =
    change.epoch === 'next' ? Math.max((old?.epoch ?? 0) + 1, Math.floor(nowMs * 1_000)) : (old?.epoch ?? 0);
  const pin = pinAfter(change, {
    epoch,
    generation: change.generation === 'epoch' ? epoch : (old?.generation ?? epoch),
  });
  const expiresAtMs = change.ttlMs === null ? 0 : nowMs + change.ttlMs;
  if (expiresAtMs > 0) db.putSync(expiryKey(expiresAtMs, key), '');
  if (change.generation === 'epoch') db.putSync(handleKey(key), `${pin.generation} ${pin.createdAtMs}`);
  if (pin.state === 'closed') removeState(db, key);
  put(at, { pin, old, expiresAtMs });
  return { applied: true, pin };
}

/** The record and its place in the index. */
function put(
  { db, key }: Change,
  { pin, old, expiresAtMs }: { readonly pin: Pin; readonly old: Pin | null; readonly expiresAtMs: number },
): void {
  if (old) db.removeSync(indexKey(old, key));
  if (pin.state !== 'closed') db.putSync(indexKey(pin, key), '');
  db.putSync(pinKey(key), `${expiresAtMs}\n${encodePin(pin).toString('utf8')}`);
}

function isExpected(pin: Pin | null, expect: PinExpectation): boolean {
  if (expect === 'none' || pin === null) return expect === 'none' && pin === null;
  return pin.generation === expect.generation && pin.epoch === expect.epoch && pin.state === expect.state;
}

function readStored(db: LmdbTable, key: InstanceKey, nowMs: number): StoredPin | null {
  const record = db.get(pinKey(key));
  if (record === undefined) return null;
  const end = record.indexOf('\n');
  const expiresAtMs = Number(record.slice(0, end));
  if (expiresAtMs > 0 && expiresAtMs <= nowMs) return null;
  return { pin: decodePin(record.slice(end + 1)), expiresAtMs };
}

function sweep(db: LmdbTable, nowMs: number): void {
  const due = db.getKeys({ start: ['expires'], end: ['expires', nowMs], inclusiveEnd: true, limit: sweptPerChange });
  for (const [, atMs, key] of [...due]) {
    if (typeof atMs !== 'number' || typeof key !== 'string') continue;
    db.removeSync(expiryKey(atMs, key));
    // The id was made again since, or has another tombstone.
    if (!db.get(pinKey(key))?.startsWith(`${atMs}\n`)) continue;
    db.removeSync(pinKey(key));
    db.removeSync(handleKey(key));
  }
}

function readPage(page: {
  readonly db: LmdbTable;
  readonly scope: PinScope;
  readonly start: LmdbKey;
  readonly limit: number;
  readonly nowMs: number;
}): PinPage {
  const { db, scope, start, limit, nowMs } = page;
  // Any string is behind every number.
  const end = [...indexPrefix(scope), ''];
  const pins: Pin[] = [];
  let last: LmdbKey | null = null;
  for (const entry of db.getKeys({ start, exclusiveStart: true, end })) {
    if (last && pins.length === limit) return { pins, next: encodePosition(positionOf(last)) };
    last = entry;
    const stored = readStored(db, positionOf(entry).key as InstanceKey, nowMs);
    if (stored) pins.push(stored.pin);
  }
  return { pins, next: null };
}

function positionOf(entry: LmdbKey): { createdAtMs: number; key: string } {
  return { createdAtMs: Number(entry[4]), key: String(entry[5]) };
}
