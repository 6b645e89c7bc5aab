import { HoldfastError } from '../common/errors.js';
import { maxStorageKeyBytes, type StorageListOptions } from '../common/instance-storage.js';
import type { StatePage, StateRange } from '../common/ports/state-store.js';

/** @throws InvalidArgument */
export function checkKey(key: unknown, what = 'a storage key'): asserts key is string {
  const bytes = typeof key === 'string' ? Buffer.byteLength(key, 'utf8') : 0;
  // Half of a surrogate pair would be stored as another key.
  if (typeof key === 'string' && bytes >= 1 && bytes <= maxStorageKeyBytes && isWellFormed(key)) return;
  const is = typeof key === 'string' ? `has ${bytes} bytes, or half of a surrogate pair` : `is ${typeof key}`;
  throw new HoldfastError(
    'InvalidArgument',
    `${what} is a string of 1 to ${maxStorageKeyBytes} bytes, this one ${is}`,
    {
      details: { bytes, maxBytes: maxStorageKeyBytes },
    },
  );
}

/** What of all keys the options mean. @throws InvalidArgument */
export function listRange({ prefix, start, end, limit, reverse = false }: StorageListOptions): StateRange {
  for (const [name, bound] of Object.entries({ prefix, start, end })) {
    if (bound !== undefined && (bound !== '' || name === 'end')) checkKey(bound, `\`${name}\` of a list`);
  }
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw new HoldfastError('InvalidArgument', `\`limit\` of a list is ${limit}: expected an integer of at least 1`);
  }
  const [from, to] = [bytesOf(start), bytesOf(end)];
  const [first, last] = [bytesOf(prefix), behind(bytesOf(prefix))];
  return {
    from: from === null || first === null ? (from ?? first) : later(from, first),
    to: to === null || last === null ? (to ?? last) : earlier(to, last),
    limit: limit ?? Number.MAX_SAFE_INTEGER,
    reverse,
  };
}

/** What is left after a page; null: nothing. */
export function nextRange(range: StateRange, { entries, isEnd }: StatePage): StateRange | null {
  const last = entries.at(-1);
  const limit = range.limit - entries.length;
  if (isEnd || last === undefined || limit < 1) return null;
  const at = Buffer.from(last.key, 'utf8');
  // The smallest key that is greater ends with a zero more.
  return range.reverse ? { ...range, limit, to: at } : { ...range, limit, from: Buffer.concat([at, Buffer.of(0)]) };
}

function bytesOf(text: string | undefined): Buffer | null {
  return text === undefined || text === '' ? null : Buffer.from(text, 'utf8');
}

/** The first that no longer begins with it; no byte of UTF-8 is 255. */
function behind(prefix: Buffer | null): Buffer | null {
  if (prefix === null) return null;
  const next = Buffer.from(prefix);
  next[next.length - 1] = (next.at(-1) as number) + 1;
  return next;
}

function later(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) > 0 ? a : b;
}

function earlier(a: Buffer, b: Buffer): Buffer {
  return Buffer.compare(a, b) < 0 ? a : b;
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text);
}
