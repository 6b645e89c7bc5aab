import type { SigningKey, TokenRecord } from '../../common/ports/store.js';

export function encodeSigningKey({ id, secret, createdAtMs }: SigningKey): string {
  return JSON.stringify({ id, secret: Buffer.from(secret).toString('base64'), createdAtMs });
}

/** Stored signing keys, newest first. */
export function decodeSigningKeys(records: readonly string[]): SigningKey[] {
  const keys = records.map((record) => {
    const { secret, ...rest } = JSON.parse(record) as Omit<SigningKey, 'secret'> & { readonly secret: string };
    return { ...rest, secret: new Uint8Array(Buffer.from(secret, 'base64')) };
  });
  return keys.sort((a, b) => b.createdAtMs - a.createdAtMs || byId(b, a));
}

/** Stored tokens, oldest first. */
export function decodeTokens(records: readonly string[]): TokenRecord[] {
  const tokens = records.map((record) => JSON.parse(record) as TokenRecord);
  return tokens.sort((a, b) => a.createdAtMs - b.createdAtMs || byId(a, b));
}

function byId(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : 1;
}
