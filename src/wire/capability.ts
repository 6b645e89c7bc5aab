import { hash } from 'node:crypto';
import { HoldfastError } from '../common/errors.js';
import type { Epoch, Generation, InstanceKey } from '../common/ids.js';
import type { Role, SigningKey } from '../common/ports/store.js';
import { isRole } from './role.js';
import { mintClaims, verifyClaims } from './signed-claims.js';

/** The right to call one activation of one instance. */
export interface Capability {
  readonly account: string;
  readonly instanceKey: InstanceKey;
  readonly generation: Generation;
  readonly epoch: Epoch;
  readonly role: Role;
  readonly expiresAtMs: number;
  /** Of the pin, encoded, that its bearer hands to the worker: it stands at `placing` there. Null: the worker has it. */
  readonly pinHash: string | null;
}

/** A client that outlives its capability resolves again. */
export const capabilityForMs = 3_600_000;
const purpose = 'capability';

export function mintCapability(key: SigningKey, capability: Capability): string {
  const { account, instanceKey, generation, epoch, role, expiresAtMs, pinHash } = capability;
  const claims = [account, instanceKey, generation, epoch, role, expiresAtMs];
  return mintClaims(key, purpose, pinHash === null ? claims : [...claims, pinHash]);
}

/** What a capability says of the pin that travels with it. */
export function hashPin(record: Uint8Array): string {
  return hash('sha256', record, 'base64url');
}

/** @throws PermissionDenied for one that is forged, cut off or expired; none is as one that has expired */
export function verifyCapability(keys: readonly SigningKey[], text: string, nowMs: number): Capability {
  if (text === '') throw expired();
  const refusal = 'the capability is not one of this account; resolve the instance again';
  const claims = verifyClaims(keys, text, { purpose, refusal });
  const [account, instanceKey, generation, epoch, role, expiresAtMs, pinHash = null] = claims;
  if (!isRole(role))
    throw new HoldfastError('PermissionDenied', 'the capability names a role that this version does not know');
  if (expiresAtMs > nowMs) return { account, instanceKey, generation, epoch, role, expiresAtMs, pinHash };
  throw expired();
}

function expired(): HoldfastError {
  return new HoldfastError('PermissionDenied', 'the capability has expired; resolve the instance again', {
    details: { reason: 'expired' },
  });
}
