import { HoldfastError } from '../../common/errors.js';
import type { Hash } from '../../common/volumes/entry.js';

const mostHashes = 1_000;

/** Ids and hashes are parts of keys: nothing else may be one. @throws InvalidArgument */
export function checkedId(what: string, id: string): string {
  if (/^[A-Za-z0-9_-]{8,64}$/.test(id)) return id;
  throw new HoldfastError('InvalidArgument', `${JSON.stringify(id.slice(0, 64))} is not the id of a ${what}`);
}

/** @throws InvalidArgument */
export function checkedHash(hash: string): Hash {
  if (/^[0-9a-f]{64}$/.test(hash)) return hash;
  throw new HoldfastError('InvalidArgument', 'an object is named by 64 hexadecimal digits, its SHA-256');
}

/** @throws InvalidArgument */
export function checkedHashes(hashes: readonly string[]): Hash[] {
  if (hashes.length > mostHashes)
    throw new HoldfastError(
      'InvalidArgument',
      `${hashes.length} objects in one request, at most ${mostHashes} are answered`,
    );
  return hashes.map(checkedHash);
}
