import { HoldfastError } from '../common/errors.js';
import type { SigningKey } from '../common/ports/store.js';
import { type Purpose, sign, verify } from './signature.js';

const maxLength = 4_096;

/** `<claims>.<key id>.<mac>`: a router's word that a worker takes without asking anyone. */
export function mintClaims(key: SigningKey, purpose: Purpose, claims: readonly (string | number)[]): string {
  const text = Buffer.from(JSON.stringify(claims), 'utf8').toString('base64url');
  return `${text}.${sign(key, purpose, [text])}`;
}

/**
 * What `mintClaims` was given, as JSON has it.
 *
 * @param refusal of text that is forged, cut off or by a key that is none of these
 * @throws PermissionDenied
 */
export function verifyClaims(
  keys: readonly SigningKey[],
  text: string,
  { purpose, refusal }: { readonly purpose: Purpose; readonly refusal: string },
) {
  const dot = text.length > maxLength ? -1 : text.indexOf('.');
  const claims = text.slice(0, Math.max(0, dot));
  if (dot < 0 || !verify(keys, purpose, { parts: [claims], signature: text.slice(dot + 1) }))
    throw new HoldfastError('PermissionDenied', refusal);
  return JSON.parse(Buffer.from(claims, 'base64url').toString('utf8'));
}
