import type { Hash } from './entry.js';

/** The folder of an account's volume objects. Accounts are of letters, digits, - and _ (wire/token). */
export function volumeFolder(account: string): string {
  return `volumes/${account}`;
}

/** By the beginning of their hash in folders, which file systems need and S3 does not mind. */
export function objectKey(account: string, hash: Hash): string {
  return `${volumeFolder(account)}/${hash.slice(0, 2)}/${hash}`;
}

/** The hash that a key of the account's folder is for; null for a key of something else. */
export function hashInKey(key: string): Hash | null {
  return /\/([0-9a-f]{64})$/.exec(key)?.[1] ?? null;
}
