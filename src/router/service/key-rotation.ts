import { HoldfastError } from '../../common/errors.js';
import type {
  ListSigningKeysReply,
  RetireSigningKeyReply,
  RetireSigningKeyRequest,
  RotateSigningKeyReply,
} from '../../wire/gen/holdfast/v1/router.js';
import type { Principal } from './request.js';
import type { SigningKeys } from './signing-keys.js';

/** Each is looked through for every signature that does not hold. */
const maxKeys = 16;

/** Makes a key that signs handles and capabilities from some seconds on; the older ones go on verifying. @throws Unavailable */
export async function rotateSigningKey(keys: SigningKeys, { account }: Principal): Promise<RotateSigningKeyReply> {
  const known = await keys.list(account);
  if (known.keys.length >= maxKeys) {
    throw new HoldfastError(
      'InvalidArgument',
      `account ${account} has ${known.keys.length} signing keys, the most there may be; retire an old one first: \`holdfast signing-key ls\``,
    );
  }
  return keys.rotate(account);
}

/** The account's keys without their secrets, newest first. @throws Unavailable */
export async function listSigningKeys(keys: SigningKeys, { account }: Principal): Promise<ListSigningKeysReply> {
  const { keys: all, signer } = await keys.list(account);
  return { keys: all.map(({ id, createdAtMs }) => ({ id, createdAtMs, signs: id === signer?.id })) };
}

/** Idempotent. Handles that only this key signed are refused from then on. @throws InvalidArgument for the key that signs, Unavailable */
export async function retireSigningKey(
  keys: SigningKeys,
  { id }: RetireSigningKeyRequest,
  { account }: Principal,
): Promise<RetireSigningKeyReply> {
  const { signer } = await keys.list(account);
  if (signer?.id === id) {
    throw new HoldfastError(
      'InvalidArgument',
      `key ${id} is the one that signs; \`holdfast signing-key rotate\` makes its successor, which signs half a minute later`,
    );
  }
  return { retired: await keys.retire(account, id) };
}
