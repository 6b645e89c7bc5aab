import { HoldfastError } from '../../common/errors.js';
import type { InstanceAlarm } from '../../common/instance-alarm.js';
import {
  type InstanceStorage,
  maxBatchChanges,
  maxCommitBytes,
  maxStorageValueBytes,
  type StorageBatch,
  type StorageListOptions,
} from '../../common/instance-storage.js';
import type { StateCommit, StatePage, StateRange } from '../../common/ports/state-store.js';
import { decodeValue, encodeValue } from '../codec/codec.js';
import { bytesOfChange, isAlarmTime } from '../frames/state-bodies.js';
import { checkKey, listRange, nextRange } from '../storage-keys.js';

/** The way to the store. What cannot be reached now is asked again on the way: it rejects only what is refused for good. */
export interface StateLink {
  commit(commit: StateCommit): Promise<void>;
  get(key: string): Promise<Uint8Array | null>;
  /** What it was set for; null: there is none. */
  alarm(): Promise<number | null>;
  list(range: StateRange): Promise<StatePage>;
}

/** Changes that go to the store together. */
interface Commit {
  readonly changes: Map<string, Uint8Array | null>;
  alarm: StateCommit['alarm'];
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  bytes: number;
}

const maxWaitingBytes = 16_777_216;

/**
 * The storage of one activation, over a way to the store.
 *
 * W1. Its commits are made one after the other, in the order of its writes. What is written in one turn, or while a commit is under
 *     way, goes together.
 * W2. A read begins when all that was written before it is stored.
 * W3. Once a commit was refused for good nothing is read or written any more: memory and store may differ.
 */
export class CoalescingStorage implements InstanceStorage, InstanceAlarm {
  readonly #link: StateLink;
  readonly #label: string;
  readonly #hasAlarm: boolean;
  /** In their order; the first one is under way, or will be at the end of this turn. */
  readonly #waiting: Commit[] = [];
  #isSending = false;
  #sequence = 0;
  #waitingBytes = 0;
  #refusal: { readonly error: unknown } | null = null;

  /** @param of `app/Class/id`, for messages; whether its class has a method for alarms */
  constructor(link: StateLink, of: { readonly label: string; readonly hasAlarm: boolean }) {
    this.#link = link;
    this.#label = of.label;
    this.#hasAlarm = of.hasAlarm;
  }

  async get<T>(key: string): Promise<T | undefined> {
    checkKey(key);
    await this.settled();
    const bytes = await this.#link.get(key);
    return bytes === null ? undefined : (decodeValue(bytes) as T);
  }

  put(key: string, value: unknown): Promise<void> {
    try {
      checkKey(key);
      return this.#write([[key, encoded(key, value)]]);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  delete(key: string): Promise<void> {
    try {
      checkKey(key);
      return this.#write([[key, null]]);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  batch(batch: StorageBatch): Promise<void> {
    try {
      return this.#write(changesOf(batch));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async list<T>(options: StorageListOptions = {}): Promise<Map<string, T>> {
    const found = new Map<string, T>();
    let range: StateRange | null = listRange(options);
    await this.settled();
    while (range !== null) {
      const page = await this.#link.list(range);
      for (const { key, value } of page.entries) found.set(key, decodeValue(value) as T);
      range = nextRange(range, page);
    }
    return found;
  }

  setAlarm(at: Date | number): Promise<void> {
    try {
      return this.#write([], checkedAlarm(at, this.#hasAlarm));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async getAlarm(): Promise<Date | null> {
    await this.settled();
    const atMs = await this.#link.alarm();
    return atMs === null ? null : new Date(atMs);
  }

  deleteAlarm(): Promise<void> {
    try {
      return this.#write([], null);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** All that was written until now is stored; null: it is already. @throws what the store refused for good */
  settled(): Promise<void> | null {
    if (this.#refusal !== null) return Promise.reject(this.#refusal.error);
    return this.#waiting.at(-1)?.done ?? null;
  }

  /** Nothing is read or written from here on. Resolves when what was written before has been stored or refused. */
  async end(): Promise<void> {
    const last = this.#waiting.at(-1)?.done;
    const over = `${this.#label} is no longer here: its storage is closed`;
    this.#refusal ??= { error: new HoldfastError('InstanceClosed', over, { outcome: 'ran' }) };
    await last?.catch(() => undefined); // told to whoever wrote it
  }

  #write(
    changes: readonly (readonly [string, Uint8Array | null])[],
    alarm: StateCommit['alarm'] = undefined,
  ): Promise<void> {
    if (this.#refusal !== null) throw this.#refusal.error;
    const bytes = changes.reduce((sum, [key, value]) => sum + bytesOfChange(key, value), 0);
    if (this.#waitingBytes + bytes > maxWaitingBytes) throw this.#tooMuch(bytes);
    const commit = this.#commitFor(bytes);
    for (const [key, value] of changes) commit.changes.set(key, value);
    if (alarm !== undefined) commit.alarm = alarm;
    commit.bytes += bytes;
    this.#waitingBytes += bytes;
    return commit.done;
  }

  #commitFor(bytes: number): Commit {
    const last = this.#waiting.at(-1);
    const isOpen = last !== undefined && !(this.#isSending && this.#waiting.length === 1);
    if (isOpen && last.bytes + bytes <= maxCommitBytes) return last;
    const commit = newCommit();
    this.#waiting.push(commit);
    if (this.#waiting.length === 1) queueMicrotask(() => void this.#sendAll());
    return commit;
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    for (let commit = this.#waiting[0]; commit !== undefined; commit = this.#waiting[0]) {
      const changes = [...commit.changes].map(([key, value]) => ({ key, value }));
      this.#sequence += 1;
      try {
        await this.#link.commit({ sequence: this.#sequence, changes, alarm: commit.alarm });
      } catch (error) {
        this.#refused(error);
        break;
      }
      this.#waiting.shift();
      this.#waitingBytes -= commit.bytes;
      commit.resolve();
    }
    this.#isSending = false;
  }

  #refused(error: unknown): void {
    this.#refusal = { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#waitingBytes = 0;
  }

  #tooMuch(bytes: number): HoldfastError {
    return new HoldfastError(
      'PendingLimitExceeded',
      `${this.#label} has written ${this.#waitingBytes} bytes that are not stored yet, ${bytes} more are too many: await what it writes`,
      { outcome: 'ran', details: { limit: maxWaitingBytes, waiting: this.#waitingBytes } },
    );
  }
}

function newCommit(): Commit {
  let resolve: Commit['resolve'] = () => undefined;
  let reject: Commit['reject'] = () => undefined;
  const done = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  // Who awaits hears of it, and so does the answer of the call.
  done.catch(() => undefined);
  return { changes: new Map(), alarm: undefined, done, resolve, reject, bytes: 0 };
}

function changesOf({ put = {}, delete: deleted = [] }: StorageBatch): (readonly [string, Uint8Array | null])[] {
  const entries = put instanceof Map ? [...put] : Object.entries(put);
  const keys = [...entries.map(([key]) => key), ...deleted];
  for (const key of keys) checkKey(key);
  if (keys.length > maxBatchChanges || new Set(keys).size < keys.length) {
    const why = keys.length > maxBatchChanges ? `it has ${keys.length} changes` : 'a key stands in it twice';
    throw new HoldfastError('InvalidArgument', `a batch takes ${maxBatchChanges} changes of different keys: ${why}`);
  }
  const puts = entries.map(([key, value]) => [key, encoded(key, value)] as const);
  const changes = [...puts, ...deleted.map((key) => [key, null] as const)];
  const bytes = changes.reduce((sum, [key, value]) => sum + bytesOfChange(key, value), 0);
  if (bytes > maxCommitBytes) {
    throw new HoldfastError('PayloadTooLarge', `a batch takes ${maxCommitBytes} bytes, this one has ${bytes}`, {
      details: { bytes, maxBytes: maxCommitBytes },
    });
  }
  return changes;
}

/** A copy: it waits here while others are encoded. */
function encoded(key: string, value: unknown): Uint8Array {
  if (value !== undefined) return Uint8Array.from(encodeValue(value, `storage value '${key}'`, maxStorageValueBytes));
  throw new HoldfastError('InvalidArgument', `the value of '${key}' is undefined: delete the key instead`);
}

function checkedAlarm(at: Date | number, hasAlarm: boolean): number {
  const atMs = typeof at === 'number' ? Math.round(at) : at.getTime();
  if (!isAlarmTime(atMs))
    throw new HoldfastError('InvalidArgument', `an alarm is set for a Date or ms since 1970, not for ${String(at)}`);
  if (hasAlarm) return atMs;
  throw new HoldfastError('InvalidArgument', 'the class has no method for alarms: decorate one with @alarm()');
}
