import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import type { Attestation, Pin, PinChange, PinChangeResult } from '../../common/pin.js';
import type { HandleRecord, PinStore } from '../../common/ports/store.js';
import { decodePin, encodePinBody } from '../../wire/pin-record.js';
import { checkChange } from '../records/pin-change.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';
import type { Owners } from './owners.js';
import { PinChanges } from './pin-changes.js';
import { createPinIndex } from './pin-index.js';

/** Pins, their handles and the index of them (S3, S4). */
export function createPins(redis: RedisConnection, clock: Clock, owners: Owners): PinStore {
  const getMany = (keys: readonly InstanceKey[]) => readPins(redis, keys);
  const index = createPinIndex({ redis, clock, readPins: getMany });
  const changes = new PinChanges(redis, owners);

  async function change(key: InstanceKey, wanted: PinChange): Promise<PinChangeResult> {
    checkChange(key, wanted);
    if (wanted.generation === 'epoch') return enter(key, wanted);
    const result = await changes.make(key, wanted, null);
    // The close has happened, whatever becomes of its entry: a listing removes it as well.
    if (result.applied && result.pin.state === 'closed') await index.remove(key, result.pin).catch(() => undefined);
    return result;
  }

  /** An id that is made or remade. A loser's entry is right too, and one that stays without a pin is removed by a listing. */
  async function enter(key: InstanceKey, wanted: PinChange): Promise<PinChangeResult> {
    if (!redis.isCluster) return changes.make(key, wanted, index.nameOf(key, wanted.fields));
    // Sent together: should this process die after the first, the second is on its way.
    const [result] = await Promise.all([changes.make(key, wanted, null), index.add(key, wanted.fields)]);
    return result;
  }

  async function attest(key: InstanceKey, pin: Pin): Promise<Attestation> {
    const keys = [redisKeys.pin(key), redisKeys.handle(key)];
    const { generation, epoch, state, opId, createdAtMs } = pin;
    const body = encodePinBody(pin, pin.transitions);
    const answer = (await redis.script('pinAttest', `attesting pin ${key}`, {
      keys: redis.isCluster ? keys : [...keys, index.nameOf(key, pin)],
      args: [generation, epoch, state, opId, body, createdAtMs, key],
    })) as Attestation | 'written';
    if (answer !== 'written') return answer;
    // Without its entry it would be missing in a listing, and in nothing else: when the node is away, the pin stands.
    if (redis.isCluster) await index.add(key, pin).catch(() => undefined);
    return 'stands';
  }

  return {
    attest,
    get: async (key) => {
      const record = await redis.run(`reading pin ${key}`, (client) => client.get(redisKeys.pin(key)));
      return decodeRecord(record);
    },
    getMany,
    change,
    list: index.list,
    handle: async (key) => {
      const record = await redis.run(`reading handle ${key}`, (client) => client.get(redisKeys.handle(key)));
      return record === null ? null : decodeHandle(record);
    },
  };
}

async function readPins(redis: RedisConnection, keys: readonly InstanceKey[]): Promise<(Pin | null)[]> {
  if (keys.length === 0) return [];
  const names = keys.map(redisKeys.pin);
  const records = await redis.run(`reading ${keys.length} pins`, (client) =>
    // The keys of one command must share a slot; these go out together and by node.
    redis.isCluster ? Promise.all(names.map((name) => client.get(name))) : client.mget(...names),
  );
  return records.map(decodeRecord);
}

function decodeRecord(record: string | null | undefined): Pin | null {
  return record === null || record === undefined ? null : decodePin(record);
}

function decodeHandle(record: string): HandleRecord {
  const parts = /^(\d{1,16}) (\d{1,16})$/.exec(record);
  if (!parts) throw new HoldfastError('Internal', `a handle record of ${record.length} characters does not decode`);
  return { generation: Number(parts[1]), issuedAtMs: Number(parts[2]) };
}
