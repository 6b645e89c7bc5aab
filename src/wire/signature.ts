import { createHmac, timingSafeEqual } from 'node:crypto';
import type { SigningKey } from '../common/ports/store.js';

/** What a signature is good for; one never passes for another. */
export type Purpose = 'capability' | 'grant' | 'handle' | 'loan' | 'worker-token';

/** Workers read the keys every 10 s, and a capability is verified where it is shown: a key signs when all have it, clocks allowed for. */
export const signsAfterMs = 30_000;

/** The newest key that every process has read; while none is old enough, the oldest: the others came just now. @param keys newest first */
export function signerOf(keys: readonly SigningKey[], nowMs: number): SigningKey | undefined {
  return keys.find(({ createdAtMs }) => createdAtMs <= nowMs - signsAfterMs) ?? keys.at(-1);
}

/** `<key id>.<mac>` over the parts: HMAC-SHA256, base64url. */
export function sign(key: SigningKey, purpose: Purpose, parts: readonly (string | number)[]): string {
  return `${key.id}.${macOf(key, purpose, parts)}`;
}

/** False for a signature of another key, purpose or text, and for what is none. Takes as long wherever it differs. */
export function verify(
  keys: readonly SigningKey[],
  purpose: Purpose,
  signed: { readonly parts: readonly (string | number)[]; readonly signature: string },
): boolean {
  const [keyId, mac, ...rest] = signed.signature.split('.');
  const key = keys.find((candidate) => candidate.id === keyId);
  if (key === undefined || mac === undefined || rest.length > 0) return false;
  const expected = macOf(key, purpose, signed.parts);
  return mac.length === expected.length && timingSafeEqual(Buffer.from(mac), Buffer.from(expected));
}

function macOf(key: SigningKey, purpose: Purpose, parts: readonly (string | number)[]): string {
  let signed = `holdfast/1/${purpose}`;
  // With their lengths, so that no other division into parts has the same text.
  for (const part of parts) {
    const text = String(part);
    signed += `\n${Buffer.byteLength(text)}:${text}`;
  }
  return createHmac('sha256', key.secret).update(signed).digest('base64url');
}
