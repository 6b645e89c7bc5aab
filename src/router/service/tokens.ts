import type { Clock, Random } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { KeyStore } from '../../common/ports/store.js';
import type {
  CreateTokenReply,
  CreateTokenRequest,
  ListTokensReply,
  RevokeTokenReply,
  RevokeTokenRequest,
} from '../../wire/gen/holdfast/v1/router.js';
import { isRole } from '../../wire/role.js';
import { createToken } from '../../wire/token.js';
import type { Authenticator } from './auth.js';
import type { Principal } from './request.js';

const maxLabelLength = 256;

/** A fresh token of the account; its text is in this reply and nowhere else. @throws InvalidArgument */
export async function issueToken(
  parts: { readonly keys: KeyStore; readonly clock: Clock; readonly random: Random },
  { role, label }: CreateTokenRequest,
  { account }: Principal,
): Promise<CreateTokenReply> {
  if (!isRole(role)) {
    throw new HoldfastError('InvalidArgument', `role ${JSON.stringify(role)}: expected deploy, call or read`);
  }
  if (label.length > maxLabelLength) {
    throw new HoldfastError(
      'InvalidArgument',
      `the label has ${label.length} characters, at most ${maxLabelLength} are kept`,
    );
  }
  const { text, record } = createToken(parts.random, { account, role, label, createdAtMs: parts.clock.now() });
  await parts.keys.putToken(record);
  return { id: record.id, token: text };
}

/** The account's tokens without their secrets, which nobody keeps. */
export async function listTokens(keys: KeyStore, { account }: Principal): Promise<ListTokensReply> {
  const tokens = await keys.listTokens(account);
  return { tokens: tokens.map(({ id, role, label, createdAtMs }) => ({ id, role, label, createdAtMs })) };
}

/** Idempotent; the token is refused at once by this router and within seconds by the others. */
export async function revokeToken(
  parts: { readonly keys: KeyStore; readonly auth: Authenticator },
  { id }: RevokeTokenRequest,
  { account }: Principal,
): Promise<RevokeTokenReply> {
  const revoked = await parts.keys.deleteToken(account, id);
  parts.auth.forget(account, id);
  return { revoked };
}
