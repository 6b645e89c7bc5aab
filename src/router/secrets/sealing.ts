import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Kms } from '../../common/ports/kms.js';
import type { SecretRecord } from '../../common/ports/store.js';
import type { Variables } from '../../common/secret.js';

type Sealed = Pick<SecretRecord, 'wrappedKey' | 'sealed'>;
type Whose = Pick<SecretRecord, 'account' | 'name'>;

const cipher = 'aes-256-gcm';
const dataKeyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;

/** Encrypts a secret with a key of its own, and that with the master key. A record says whose it is: moved, it does not open. */
export async function seal(
  { kms, random }: { readonly kms: Kms; readonly random: Random },
  whose: Whose,
  variables: Variables,
): Promise<Sealed> {
  const dataKey = random.bytes(dataKeyBytes);
  const nonce = random.bytes(nonceBytes);
  const sealing = createCipheriv(cipher, dataKey, nonce, { authTagLength: tagBytes });
  sealing.setAAD(contextOf('value', whose));
  const bytes = Buffer.concat([sealing.update(JSON.stringify(variables), 'utf8'), sealing.final()]);
  const wrappedKey = await kms.wrap(dataKey, contextOf('key', whose));
  dataKey.fill(0);
  return { wrappedKey, sealed: new Uint8Array(Buffer.concat([nonce, sealing.getAuthTag(), bytes])) };
}

/** @throws Unavailable, Internal where the record was changed */
export async function unseal(kms: Kms, record: SecretRecord): Promise<Variables> {
  const dataKey = await kms.unwrap(record.wrappedKey, contextOf('key', record));
  const { sealed } = record;
  try {
    const opening = createDecipheriv(cipher, dataKey, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
    opening.setAAD(contextOf('value', record)).setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
    const text = Buffer.concat([opening.update(sealed.subarray(nonceBytes + tagBytes)), opening.final()]);
    return JSON.parse(text.toString('utf8')) as Variables;
  } catch {
    // Without its cause, which may quote what was opened.
    throw new HoldfastError('Internal', `secret ${record.name} does not open: its record in the store was changed`);
  } finally {
    dataKey.fill(0);
  }
}

/** The same secret under the current master key; its value is not looked at. */
export async function rewrap(kms: Kms, record: SecretRecord): Promise<Sealed> {
  const context = contextOf('key', record);
  const dataKey = await kms.unwrap(record.wrappedKey, context);
  try {
    return { wrappedKey: await kms.wrap(dataKey, context), sealed: record.sealed };
  } finally {
    dataKey.fill(0);
  }
}

function contextOf(what: 'key' | 'value', { account, name }: Whose): Uint8Array {
  return Buffer.from(JSON.stringify(['holdfast/secret/1', what, account, name]), 'utf8');
}
