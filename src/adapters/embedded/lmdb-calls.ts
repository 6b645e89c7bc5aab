import type { InstanceKey } from '../../common/ids.js';
import type { CallChange, CallEnd, CallRecord, CallStore, OpenCall } from '../../common/ports/call-store.js';
import { type CallId, instanceOfCall, keptCallMs } from '../../common/spawned-call.js';
import { decodeHead, decodeProgress, encodeHead, encodeProgress } from '../records/call-record.js';
import type { LmdbKey, LmdbTable, Transactions } from './lmdb-database.js';
import { isCurrent } from './lmdb-state.js';

const keyOf = (part: 'head' | 'progress' | 'args' | 'answer', id: CallId): LmdbKey => ['call', id, part];
/** Those that are open, with their places. */
const openKey = (key: InstanceKey, id: CallId): LmdbKey => ['calls-open', key, id];
const endedKey = (key: InstanceKey, atMs: number, id: CallId): LmdbKey => ['calls-ended', key, atMs, id];
const expiryKey = (atMs: number, id: CallId): LmdbKey => ['calls-expire', atMs, id];
/** `epoch sequence`, of the last commit. */
const lastKey = (key: InstanceKey): LmdbKey => ['calls-last', key];

/** Spawned calls, each change one transaction with the look at the pin (R2). */
export function createLmdbCalls(database: Transactions): CallStore {
  const { clock } = database;
  return {
    adopt: (owner) =>
      database.write(`adopting the calls of instance ${owner.key}`, (db) => {
        if (!isCurrent(db, owner)) return 'stale';
        if (lastOf(db, owner.key)?.epoch !== owner.epoch) db.putSync(lastKey(owner.key), `${owner.epoch} 0`);
        return openCalls(db, owner.key);
      }),
    commit: (owner, { sequence, changes }) =>
      database.write(`recording calls of instance ${owner.key}`, (db) => {
        if (!isCurrent(db, owner)) return 'stale';
        const last = lastOf(db, owner.key);
        if (last?.epoch === owner.epoch && last.sequence >= sequence) return 'committed';
        for (const change of changes) apply(db, { key: owner.key, nowMs: clock.now() }, change);
        db.putSync(lastKey(owner.key), `${owner.epoch} ${sequence}`);
        sweep(db, clock.now(), changes.length + 8);
        return 'committed';
      }),
    arguments: (id) => database.read(`reading the arguments of call ${id}`, (db) => bytesOf(db.get(keyOf('args', id)))),
    get: (id) =>
      database.read(`reading call ${id}`, (db) => {
        const record = readCall(db, id);
        return record && { ...record, answer: bytesOf(db.get(keyOf('answer', id))) };
      }),
    pending: (key) =>
      database.read(`counting the calls of instance ${key}`, (db) => ({
        open: openIds(db, key).length,
        adoptedBy: lastOf(db, key)?.epoch ?? null,
      })),
    abandon: (key, ends) =>
      database.write(`giving up the calls of instance ${key}`, (db) => {
        if (mayLive(db, key)) return;
        for (const { id, progress } of openCalls(db, key)) {
          const end = progress.state === 'running' ? ends.begun : ends.unbegun;
          apply(db, { key, nowMs: clock.now() }, { kind: 'end', id, ...endOf(end) });
        }
      }),
    list: (key, limit) =>
      database.read(`listing the calls of instance ${key}`, (db) => {
        const from = { start: ['calls-ended', key, ''], end: ['calls-ended', key], reverse: true, limit };
        const ended = [...db.getKeys(from)].map((found) => String(found[3]) as CallId);
        return [...openIds(db, key), ...ended].slice(0, limit).flatMap((id) => readCall(db, id) ?? []);
      }),
  };
}

function endOf({ progress, answer }: CallEnd): CallEnd {
  return { progress, answer };
}

function apply(db: LmdbTable, of: { readonly key: InstanceKey; readonly nowMs: number }, change: CallChange): void {
  if (change.kind === 'add') return add(db, of.key, change);
  const { id, progress } = change;
  if (db.get(openKey(of.key, id)) === undefined) return;
  db.putSync(keyOf('progress', id), encodeProgress(progress));
  if (change.kind === 'progress') return;
  const endedAtMs = progress.endedAtMs ?? of.nowMs;
  db.putSync(keyOf('answer', id), Buffer.from(change.answer).toString('base64'));
  db.removeSync(keyOf('args', id));
  db.removeSync(openKey(of.key, id));
  db.putSync(endedKey(of.key, endedAtMs, id), '');
  db.putSync(expiryKey(of.nowMs + keptCallMs, id), String(endedAtMs));
}

function add(db: LmdbTable, key: InstanceKey, { call, args }: CallChange & { readonly kind: 'add' }): void {
  const { id, head, progress, order } = call;
  if (db.get(keyOf('head', id)) !== undefined) return;
  db.putSync(keyOf('head', id), encodeHead(head));
  db.putSync(keyOf('progress', id), encodeProgress(progress));
  db.putSync(keyOf('args', id), Buffer.from(args).toString('base64'));
  db.putSync(openKey(key, id), String(order));
}

/** A few more than were added, so that they never pile up and no commit takes long. */
function sweep(db: LmdbTable, nowMs: number, limit: number): void {
  const due = [...db.getRange({ start: ['calls-expire'], end: ['calls-expire', nowMs], limit })];
  for (const { key: found, value } of due) {
    const id = String(found[2]) as CallId;
    for (const part of ['head', 'progress', 'answer'] as const) db.removeSync(keyOf(part, id));
    const key = instanceOfCall(id);
    if (key !== null) db.removeSync(endedKey(key, Number(value), id));
    db.removeSync(found);
  }
}

function openIds(db: LmdbTable, key: InstanceKey): CallId[] {
  const found = [...db.getRange({ start: ['calls-open', key], end: ['calls-open', key, '\uffff'] })];
  const places = found.map(({ key: at, value }) => ({ id: String(at[2]) as CallId, order: Number(value) }));
  return places.sort((one, other) => one.order - other.order).map(({ id }) => id);
}

function openCalls(db: LmdbTable, key: InstanceKey): OpenCall[] {
  return openIds(db, key).flatMap((id) => {
    const record = readCall(db, id);
    return record === null ? [] : { ...record, order: Number(db.get(openKey(key, id))) };
  });
}

function readCall(db: LmdbTable, id: CallId): CallRecord | null {
  const [head, progress] = [db.get(keyOf('head', id)), db.get(keyOf('progress', id))];
  if (head === undefined || progress === undefined) return null;
  return { id, head: decodeHead(head), progress: decodeProgress(progress) };
}

function lastOf(db: LmdbTable, key: InstanceKey): { readonly epoch: number; readonly sequence: number } | null {
  const [epoch, sequence] = (db.get(lastKey(key)) ?? '').split(' ');
  return sequence === undefined ? null : { epoch: Number(epoch), sequence: Number(sequence) };
}

/** By the header of the pin; a tombstone has a life that ends. */
function mayLive(db: LmdbTable, key: InstanceKey): boolean {
  const [, state] = /^0\n\d+ \d+ (\w+) /.exec(db.get(['pin', key]) ?? '') ?? [];
  return state !== undefined && state !== 'lost' && state !== 'closed';
}

function bytesOf(text: string | undefined): Uint8Array | null {
  return text === undefined ? null : Buffer.from(text, 'base64');
}
