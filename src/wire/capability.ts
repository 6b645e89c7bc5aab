import { hash } from 'node:crypto';
import { HoldfastError } from '../common/errors.js';
import type { Epoch, Generation, InstanceKey } from '../common/ids.js';
import type { Role, SigningKey } from '../common/ports/store.js';
import { isRole } from './role.js';
import { sign, verify } from './signature.js';

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

const purpose = 'capability';
const maxLength = 2_048;

/** `<claims>.<key id>.<mac>`: what a worker checks without asking anyone. */
export function mintCapability(key: SigningKey, capability: Capability): string {
  const { account, instanceKey, generation, epoch, role, expiresAtMs, pinHash } = capability;
  const claims = [account, instanceKey, generation, epoch, role, expiresAtMs];
  const text = Buffer.from(JSON.stringify(pinHash === null ? claims : [...claims, pinHash]), 'utf8').toString(
    'base64url',
  );
  return `${text}.${sign(key, purpose, [text])}`;
}

/** What a capability says of the pin that travels with it. */
export function hashPin(record: Uint8Array): string {
  return hash('sha256', record, 'base64url');
}

/** @throws PermissionDenied for one that is forged, cut off or expired */
export function verifyCapability(keys: readonly SigningKey[], text: string, nowMs: number): Capability {
  const dot = text.length > maxLength ? -1 : text.indexOf('.');
  const claims = text.slice(0, Math.max(0, dot));
  if (dot < 0 || !verify(keys, purpose, { parts: [claims], signature: text.slice(dot + 1) })) {
    throw new HoldfastError(
      'PermissionDenied',
      'the capability is not one of this account; resolve the instance again',
    );
  }
  const capability = parse(claims);
  if (capability.expiresAtMs > nowMs) return capability;
  throw new HoldfastError('PermissionDenied', 'the capability has expired; resolve the instance again', {
    details: { reason: 'expired' },
  });
}

/** Of text that we have signed. */
function parse(claims: string): Capability {
  const [account, instanceKey, generation, epoch, role, expiresAtMs, pinHash = null] = JSON.parse(
    Buffer.from(claims, 'base64url').toString('utf8'),
  );
  if (!isRole(role))
    throw new HoldfastError('PermissionDenied', 'the capability names a role that this version does not know');
  return { account, instanceKey, generation, epoch, role, expiresAtMs, pinHash };
}
