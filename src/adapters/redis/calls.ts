import type { InstanceKey } from '../../common/ids.js';
import type { CallChange, CallEnd, CallStore, OpenCall } from '../../common/ports/call-store.js';
import { type CallId, instanceOfCall, isEnded, keptCallMs } from '../../common/spawned-call.js';
import { decodeProgress, encodeProgress } from '../records/call-record.js';
import { encodeCompactHead } from '../records/compact-call.js';
import { CallReads } from './call-reads.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';

/** Of one script: it is alone on its Redis while it runs. */
const abandonedAtOnce = 128;

/** Spawned calls of instances, each in the slot of its instance's pin (R2). */
export function createCalls(redis: RedisConnection): CallStore {
  const keysOf = (key: InstanceKey): string[] => [redisKeys.pin(key), redisKeys.calls(key), redisKeys.endedCalls(key)];
  const reads = new CallReads(redis);
  const openIds = async (key: InstanceKey): Promise<CallId[]> => {
    const found = await redis.run(`counting the calls of instance ${key}`, (client) =>
      client.hgetall(redisKeys.calls(key)),
    );
    return places(Object.entries(found)).map(({ id }) => id);
  };
  return {
    adopt: async ({ key, epoch }) => {
      const what = `adopting the calls of instance ${key}`;
      const answer = await redis.script('callsAdopt', what, { keys: keysOf(key).slice(0, 2), args: [epoch] });
      if (answer === 'stale') return 'stale';
      const open = places(pairsOf(answer as readonly string[]));
      const records = await reads.many(
        key,
        open.map(({ id }) => id),
      );
      return open.flatMap(({ order }, at): OpenCall[] => {
        const record = records[at];
        return record ? [{ ...record, order }] : [];
      });
    },
    commit: async ({ key, epoch }, { sequence, changes }) => {
      const answer = await redis.binaryScript('callsCommit', `recording calls of instance ${key}`, {
        keys: [...keysOf(key), ...changes.map((change) => callKey(idOf(change)))],
        args: [epoch, sequence, keptCallMs, whoseOf(changes), ...changes.flatMap(argsOf)],
      });
      return Buffer.isBuffer(answer) && answer.toString() === 'stale' ? 'stale' : 'committed';
    },
    arguments: async (id) => {
      const [progress, args] = await redis.run(`reading the arguments of call ${id}`, (client) =>
        client.hmgetBuffer(callKey(id), 'p', 'x'),
      );
      const isOpen = progress !== null && progress !== undefined && !isEnded(decodeProgress(progress.toString()));
      return isOpen ? (args ?? null) : null;
    },
    get: (id) => reads.one(id),
    pending: async (key) => {
      const [last, count] = await redis.run(`counting the calls of instance ${key}`, (client) =>
        Promise.all([client.hget(redisKeys.calls(key), ''), client.hlen(redisKeys.calls(key))]),
      );
      return last === null
        ? { open: count, adoptedBy: null }
        : { open: count - 1, adoptedBy: Number(last.split(' ')[0]) };
    },
    abandon: async (key, { unbegun, begun }) => {
      const ids = await openIds(key);
      for (let at = 0; at < ids.length; at += abandonedAtOnce) {
        const some = ids.slice(at, at + abandonedAtOnce);
        await redis.binaryScript('callsAbandon', `giving up the calls of instance ${key}`, {
          keys: [...keysOf(key), ...some.map(callKey)],
          args: [keptCallMs, unbegun.progress.endedAtMs ?? 0, ...endArgs(unbegun), ...endArgs(begun), ...some],
        });
      }
    },
    list: async (key, limit) => {
      const [open, ended] = await Promise.all([
        openIds(key),
        redis.run(`listing the calls of instance ${key}`, (client) =>
          client.zrevrange(redisKeys.endedCalls(key), 0, limit - 1),
        ),
      ]);
      const records = await reads.many(key, [...open, ...(ended as CallId[])].slice(0, limit));
      return records.filter((record) => record !== null);
    },
  };
}

function callKey(id: CallId): string {
  return redisKeys.call(instanceOfCall(id) ?? ('' as InstanceKey), id);
}

function idOf(change: CallChange): CallId {
  return change.kind === 'add' ? change.call.id : change.id;
}

function argsOf(change: CallChange): (string | number | Buffer)[] {
  if (change.kind === 'add') {
    const { id, order, head, progress } = change.call;
    return ['+', id, order, encodeProgress(progress), bufferOf(change.args), encodeCompactHead(head)];
  }
  const { id, progress } = change;
  if (change.kind === 'progress') return ['~', id, '', encodeProgress(progress), '', ''];
  return ['.', id, progress.endedAtMs ?? 0, encodeProgress(progress), bufferOf(change.answer), ''];
}

/** Said with calls that are new. */
function whoseOf(changes: readonly CallChange[]): string {
  const added = changes.find((change) => change.kind === 'add');
  return added === undefined ? '' : JSON.stringify(added.call.head.identity);
}

function endArgs({ progress, answer }: CallEnd): (string | Buffer)[] {
  return [encodeProgress(progress), bufferOf(answer)];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function pairsOf(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at] ?? '', flat[2 * at + 1] ?? '']);
}

/** In their order; what is kept under the empty id is no call. */
function places(entries: readonly [string, string][]): { readonly id: CallId; readonly order: number }[] {
  const calls = entries.filter(([id]) => id !== '').map(([id, order]) => ({ id: id as CallId, order: Number(order) }));
  return calls.sort((one, other) => one.order - other.order);
}
