import { HoldfastError } from '../../common/errors.js';
import type { SecretRecord } from '../../common/ports/store.js';

interface StoredSecret extends Pick<SecretRecord, 'account' | 'name' | 'createdAtMs' | 'updatedAtMs'> {
  readonly keyId: string;
  /** Base64. */
  readonly wrappedKey: string;
  readonly sealed: string;
}

/** What is kept of a secret beside its revision. */
export function encodeSecretBody({ revision: _revision, wrappedKey, sealed, ...plain }: SecretRecord): string {
  const stored: StoredSecret = {
    ...plain,
    keyId: wrappedKey.keyId,
    wrappedKey: Buffer.from(wrappedKey.bytes).toString('base64'),
    sealed: Buffer.from(sealed).toString('base64'),
  };
  return JSON.stringify(stored);
}

/** `revision`, newline, body. */
export function encodeSecret(record: SecretRecord): string {
  return `${record.revision}\n${encodeSecretBody(record)}`;
}

/** @throws Internal */
export function decodeSecret(text: string): SecretRecord {
  const end = text.indexOf('\n');
  if (end < 1)
    throw new HoldfastError('Internal', `the record of a secret of ${text.length} characters does not decode`);
  const { keyId, wrappedKey, sealed, ...plain } = JSON.parse(text.slice(end + 1)) as StoredSecret;
  return {
    ...plain,
    revision: text.slice(0, end),
    wrappedKey: { keyId, bytes: new Uint8Array(Buffer.from(wrappedKey, 'base64')) },
    sealed: new Uint8Array(Buffer.from(sealed, 'base64')),
  };
}

export function bySecretName(a: SecretRecord, b: SecretRecord): number {
  return a.name < b.name ? -1 : 1;
}
