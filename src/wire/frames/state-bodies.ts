import { HoldfastError } from '../../common/errors.js';
import { maxCommitBytes, maxStorageKeyBytes, maxStorageValueBytes } from '../../common/instance-storage.js';
import type { StateChange, StateCommit, StatePage, StateRange } from '../../common/ports/state-store.js';
import { decodeBody, encodeBody } from './frame-bodies.js';

/** What an instance asks of its durable state. */
export type StateRequest =
  | { readonly op: 'commit'; readonly commit: StateCommit }
  | { readonly op: 'get'; readonly key: string }
  | { readonly op: 'alarm' }
  | { readonly op: 'list'; readonly range: StateRange };

/** A key with what the store keeps beside it: small changes must not be very many. */
const changeOverheadBytes = 64;

/** What a change counts for in a commit, in bytes. */
export function bytesOfChange(key: string, value: Uint8Array | null): number {
  return Buffer.byteLength(key, 'utf8') + (value?.length ?? 0) + changeOverheadBytes;
}

/** Body of a `State` frame. */
export function encodeStateRequest(request: StateRequest): Buffer {
  switch (request.op) {
    case 'commit': {
      const { sequence, changes, alarm } = request.commit;
      const pairs = changes.map(({ key, value }) => [key, value]);
      return encodeBody({ op: 'commit', sequence, changes: pairs, ...(alarm === undefined ? {} : { alarm }) });
    }
    case 'get':
    case 'alarm':
      return encodeBody(request);
    case 'list':
      return encodeBody({ op: 'list', ...request.range });
    default:
      return request satisfies never;
  }
}

/** Of a container, which may say anything. @throws InvalidArgument */
export function readStateRequest(bytes: Uint8Array): StateRequest {
  const body = decodeBody(bytes);
  switch (body['op']) {
    case 'commit':
      return { op: 'commit', commit: readCommit(body) };
    case 'get':
      return { op: 'get', key: readKey(body['key']) };
    case 'alarm':
      return { op: 'alarm' };
    case 'list':
      return { op: 'list', range: readRange(body) };
    default:
      return refuse('it asks for nothing that is known');
  }
}

/** Keys and values in turn. */
export function encodePage({ entries, isEnd }: StatePage): Buffer {
  return encodeBody({ entries: entries.map(({ key, value }) => [key, value]), isEnd });
}

/** Of a worker. @throws InvalidArgument */
export function decodePage(bytes: Uint8Array): StatePage {
  const { entries, isEnd } = decodeBody(bytes);
  const pairs = entries as readonly (readonly [string, Uint8Array])[];
  return { entries: pairs.map(([key, value]) => ({ key, value })), isEnd: isEnd === true };
}

function readCommit({ sequence, changes, alarm }: Readonly<Record<string, unknown>>): StateCommit {
  if (!Number.isSafeInteger(sequence) || (sequence as number) < 1 || !Array.isArray(changes))
    return refuse('a commit needs a sequence and changes');
  const read = changes.map(readChange);
  const bytes = read.reduce((sum, { key, value }) => sum + bytesOfChange(key, value), 0);
  if (bytes > maxCommitBytes) refuse(`a commit has ${bytes} bytes, at most ${maxCommitBytes}`);
  if (new Set(read.map(({ key }) => key)).size < read.length) refuse('a commit changes a key twice');
  return { sequence: sequence as number, changes: read, alarm: readAlarm(alarm) };
}

function readAlarm(alarm: unknown): number | null | undefined {
  if (alarm === undefined || alarm === null || isAlarmTime(alarm)) return alarm;
  return refuse('an alarm is no time');
}

/** Whole ms since 1970, of a time that a `Date` can have. */
export function isAlarmTime(atMs: unknown): atMs is number {
  return Number.isSafeInteger(atMs) && (atMs as number) >= 0 && (atMs as number) <= 8_640_000_000_000_000;
}

function readChange(change: unknown): StateChange {
  if (!Array.isArray(change) || change.length !== 2) return refuse('a change is a key and a value');
  const [key, value] = change as readonly unknown[];
  if (value !== null && !(value instanceof Uint8Array)) return refuse('a value is no bytes');
  if (value !== null && value.length > maxStorageValueBytes) refuse(`a value has ${value.length} bytes`);
  return { key: readKey(key), value };
}

function readKey(key: unknown): string {
  if (typeof key !== 'string') return refuse('a key is no string');
  const bytes = Buffer.byteLength(key, 'utf8');
  if (bytes < 1 || bytes > maxStorageKeyBytes) refuse(`a key has ${bytes} bytes`);
  return key;
}

function readRange({ from, to, limit, reverse }: Readonly<Record<string, unknown>>): StateRange {
  if (!Number.isSafeInteger(limit) || (limit as number) < 1) return refuse('a list needs a limit');
  return { from: readBound(from), to: readBound(to), limit: limit as number, reverse: reverse === true };
}

function readBound(bound: unknown): Uint8Array | null {
  if (bound === null) return null;
  // One byte more than a key: what comes next after it.
  if (!(bound instanceof Uint8Array) || bound.length > maxStorageKeyBytes + 1) return refuse('a bound is no key');
  return bound;
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `a request for durable state cannot be read: ${why}`);
}
