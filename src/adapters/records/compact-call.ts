import { HoldfastError } from '../../common/errors.js';
import type { Identity } from '../../common/ids.js';
import type { CallHead } from '../../common/spawned-call.js';

// What a call is, beside its instance: that is kept once for all of them. Short texts are packed by Redis.

/** `generation spawnedAtMs idempotent method`. */
export function encodeCompactHead({ generation, spawnedAtMs, isIdempotent, method }: CallHead): string {
  return `${generation} ${spawnedAtMs} ${isIdempotent ? 1 : 0} ${method}`;
}

const text = /^(\d+) (\d+) ([01]) (.+)$/s;

/** @throws Internal */
export function decodeCompactHead(identity: Identity, record: string): CallHead {
  const [, generation, spawnedAtMs, isIdempotent, method] = text.exec(record) ?? [];
  if (method === undefined) throw new HoldfastError('Internal', `the record of a call is ${JSON.stringify(record)}`);
  const numbers = { generation: Number(generation) as CallHead['generation'], spawnedAtMs: Number(spawnedAtMs) };
  return { identity, ...numbers, isIdempotent: isIdempotent === '1', method };
}

/** Whose calls they are, of `epoch sequence identity`; null: none were recorded. */
export function identityOf(last: string): Identity | null {
  const [, identity] = /^\d+ \d+ (\{.*\})$/s.exec(last) ?? [];
  return identity === undefined ? null : (JSON.parse(identity) as Identity);
}
