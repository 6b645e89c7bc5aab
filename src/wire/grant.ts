import { HoldfastError } from '../common/errors.js';
import type { BootId } from '../common/ids.js';
import type { Role, SigningKey } from '../common/ports/store.js';
import { isRole } from './role.js';
import { mintClaims, verifyClaims } from './signed-claims.js';

/** The right to have names of a class that were never used made by one boot of a worker (S13). */
export interface Grant {
  readonly account: string;
  readonly app: string;
  readonly className: string;
  /** What they run on. */
  readonly deployment: number;
  readonly bootId: BootId;
  readonly role: Role;
  readonly expiresAtMs: number;
}

/** Routers give the same one for a minute, clients use it for 2 s; the rest is for clocks that differ. */
export const grantForMs = 300_000;
const purpose = 'grant';

export function mintGrant(key: SigningKey, grant: Grant): string {
  const { account, app, className, deployment, bootId, role, expiresAtMs } = grant;
  return mintClaims(key, purpose, [account, app, className, deployment, bootId, role, expiresAtMs]);
}

/** @throws PermissionDenied for one that is forged, cut off or expired */
export function verifyGrant(keys: readonly SigningKey[], text: string, nowMs: number): Grant {
  const refusal = 'the grant is not one of this account; ask a router for the instance';
  const claims = verifyClaims(keys, text, { purpose, refusal });
  const [account, app, className, deployment, bootId, role, expiresAtMs] = claims;
  if (isRole(role) && expiresAtMs > nowMs) return { account, app, className, deployment, bootId, role, expiresAtMs };
  throw new HoldfastError('PermissionDenied', 'the grant has expired; ask a router for the instance');
}
