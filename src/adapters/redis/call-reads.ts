import type { InstanceKey } from '../../common/ids.js';
import type { CallRecord } from '../../common/ports/call-store.js';
import { type CallId, instanceOfCall } from '../../common/spawned-call.js';
import { decodeProgress } from '../records/call-record.js';
import { decodeCompactHead, identityOf } from '../records/compact-call.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** A call, and its answer where that was asked for and it has ended. */
export type ReadCall = CallRecord & { readonly answer: Buffer | null };

interface Waiting {
  readonly id: CallId;
  readonly resolve: (call: ReadCall | null) => void;
  readonly reject: (error: unknown) => void;
}

/** Of one script: with the longest answers they are a reply of 32 MiB. */
const mostAtOnce = 32;

/** Reads spawned calls; those of one instance that are asked for in one turn of the event loop together. */
export class CallReads {
  readonly #redis: RedisConnection;
  readonly #waiting = new Map<InstanceKey, Waiting[]>();

  constructor(redis: RedisConnection) {
    this.#redis = redis;
  }

  /** With its answer. @throws Unavailable, Internal */
  one(id: CallId): Promise<ReadCall | null> {
    const key = keyOf(id);
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key);
      if (waiting !== undefined) waiting.push({ id, resolve, reject });
      else this.#waiting.set(key, [{ id, resolve, reject }]);
      if (waiting === undefined && this.#waiting.size === 1) setImmediate(() => this.#flush());
    });
  }

  /** Of one instance, without answers; null where there is none. @throws Unavailable, Internal */
  async many(key: InstanceKey, ids: readonly CallId[]): Promise<readonly (CallRecord | null)[]> {
    const parts = Array.from({ length: Math.ceil(ids.length / mostAtOnce) }, (_, part) =>
      this.#read(key, ids.slice(part * mostAtOnce, (part + 1) * mostAtOnce), false),
    );
    return (await Promise.all(parts)).flat().map((call) => call && withoutAnswer(call));
  }

  #flush(): void {
    const groups = [...this.#waiting];
    this.#waiting.clear();
    for (const [key, waiting] of groups)
      for (let at = 0; at < waiting.length; at += mostAtOnce)
        void this.#answer(key, waiting.slice(at, at + mostAtOnce));
  }

  async #answer(key: InstanceKey, waiting: readonly Waiting[]): Promise<void> {
    try {
      const ids = waiting.map(({ id }) => id);
      const calls = await this.#read(key, ids, true);
      for (const [at, { resolve }] of waiting.entries()) resolve(calls[at] ?? null);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #read(key: InstanceKey, ids: readonly CallId[], withAnswers: boolean): Promise<readonly (ReadCall | null)[]> {
    const answer = await this.#redis.binaryScript('callsRead', `reading ${ids.length} calls of instance ${key}`, {
      keys: [redisKeys.calls(key), ...ids.map((id) => redisKeys.call(key, id))],
      args: [withAnswers ? 'answers' : ''],
    });
    const [last, ...found] = answer as readonly [Buffer, ...(readonly (Buffer | null)[])[]];
    const identity = identityOf(last.toString());
    return found.map(([head = null, progress = null, bytes = null], at) => {
      if (identity === null || head === null || progress === null) return null;
      const record = { id: ids[at] as CallId, head: decodeCompactHead(identity, head.toString()) };
      return { ...record, progress: decodeProgress(progress.toString()), answer: bytes };
    });
  }
}

function keyOf(id: CallId): InstanceKey {
  return instanceOfCall(id) ?? ('' as InstanceKey);
}

function withoutAnswer({ id, head, progress }: ReadCall): CallRecord {
  return { id, head, progress };
}
