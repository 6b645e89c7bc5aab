import { HoldfastError } from '../../common/errors.js';
import type { InstanceKey } from '../../common/ids.js';
import type { PinChange, PinChangeResult } from '../../common/pin.js';
import { decodePin, encodePinBody } from '../../wire/pin-record.js';
import { pinAfter } from '../records/pin-change.js';
import { storeQuarantined } from '../records/quarantine.js';
import type { RedisConnection } from './connection.js';
import { redisKeys } from './keys.js';
import type { Owners } from './owners.js';

/** What one change of a script came to: see lua/pin-changes.lua. */
type Verdict =
  | string
  | readonly ['before', string]
  | readonly ['refused', string | null]
  | readonly ['quarantined', number]
  | Error;

interface Wanted {
  readonly key: InstanceKey;
  readonly change: PinChange;
  /** The sorted set that the id is entered in; null: it is there, or in another slot. */
  readonly index: string | null;
  readonly resolve: (result: PinChangeResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Nobody else is served while a script runs: about 1 ms. */
const maxBatch = 128;

/**
 * Changes of pins, those of one turn of the event loop in one script: most of what a change costs, here and there, is the
 * message. In a Cluster each goes by itself, to its slot.
 */
export class PinChanges {
  readonly #redis: RedisConnection;
  readonly #owners: Owners;
  #wanted: Wanted[] = [];

  constructor(redis: RedisConnection, owners: Owners) {
    this.#redis = redis;
    this.#owners = owners;
  }

  /** @throws Unavailable, Internal */
  make(key: InstanceKey, change: PinChange, index: string | null): Promise<PinChangeResult> {
    return new Promise((resolve, reject) => {
      this.#wanted.push({ key, change, index, resolve, reject });
      if (this.#wanted.length === 1) setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    const size = this.#redis.isCluster ? 1 : maxBatch;
    for (let from = 0; from < wanted.length; from += size) void this.#run(wanted.slice(from, from + size));
  }

  async #run(batch: readonly Wanted[]): Promise<void> {
    const [first] = batch;
    if (first === undefined) return;
    const what = whatOf(batch);
    const asked = this.#owners.ask(redisKeys.pin(first.key));
    const call = callOf(batch);
    try {
      const [run, verdicts] = (await this.#redis.script('pinChanges', what, {
        keys: [asked.key, ...call.keys],
        args: [asked.isKnown ? '-' : asked.met, this.#owners.quarantineMs, ...call.args],
      })) as [string | null, readonly Verdict[]];
      const isQuarantined = verdicts.some((verdict) => Array.isArray(verdict) && verdict[0] === 'quarantined');
      if (run !== null) asked.answered(run, isQuarantined);
      batch.forEach((wanted, i) => {
        try {
          wanted.resolve(resultOf(wanted, verdicts[i]));
        } catch (error) {
          wanted.reject(this.#redis.errorOf(whatOf([wanted]), error));
        }
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}

function whatOf(batch: readonly Pick<Wanted, 'key' | 'change'>[]): string {
  const [first] = batch;
  if (first === undefined || batch.length > 1) return `changing ${batch.length} pins`;
  return `changing pin ${first.key} to ${first.change.fields.state}`;
}

function callOf(batch: readonly Wanted[]): { readonly keys: string[]; readonly args: (string | number)[] } {
  const keys: string[] = [];
  const args: (string | number)[] = [];
  for (const { key, change, index } of batch) {
    const { expect, fields, opId, transitions, ttlMs, byOwner } = change;
    const old = expect === 'none' ? null : expect;
    keys.push(redisKeys.pin(key), redisKeys.handle(key));
    if (index !== null) keys.push(index);
    if (fields.state === 'closed') keys.push(redisKeys.state(key), redisKeys.stateKeys(key));
    args.push(
      old === null ? '' : `${old.generation} ${old.epoch} ${old.state}`,
      change.generation === 'keep' ? (old?.generation ?? '') : '',
      change.epoch === 'keep' ? (old?.epoch ?? '') : '',
      old?.epoch ?? 0,
      opId,
      fields.state,
      encodePinBody(fields, transitions),
      ttlMs ?? 0,
      fields.createdAtMs,
      index === null ? '' : key,
      byOwner === true ? 'owner' : '',
    );
  }
  return { keys, args };
}

/** @throws what the server said of this change alone */
function resultOf({ key, change }: Wanted, verdict: Verdict | undefined): PinChangeResult {
  if (typeof verdict === 'string') {
    const [generation, epoch] = verdict.split(' ');
    return { applied: true, pin: pinAfter(change, { generation: Number(generation), epoch: Number(epoch) }) };
  }
  if (verdict instanceof Error) throw verdict;
  if (verdict === undefined) throw new HoldfastError('Internal', 'the script of pin changes answered too few of them');
  if (verdict[0] === 'quarantined') throw storeQuarantined(whatOf([{ key, change }]), verdict[1]);
  const [what, record] = verdict;
  if (what === 'before') return { applied: true, pin: decodePin(record) };
  return { applied: false, pin: record === null ? null : decodePin(record) };
}
