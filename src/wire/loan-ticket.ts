import { HoldfastError } from '../common/errors.js';
import type { BootId, Epoch, Identity, InstanceKey } from '../common/ids.js';
import type { SigningKey } from '../common/ports/store.js';
import { mintClaims, verifyClaims } from './signed-claims.js';

/** What a worker may lend a container for. */
export interface LoanTicket {
  readonly identity: Identity;
  readonly instanceKey: InstanceKey;
  readonly epoch: Epoch;
  readonly deployment: number;
  /** The boot that has the instance. */
  readonly borrower: BootId;
  readonly lender: BootId;
  readonly expiresAtMs: number;
}

const purpose = 'loan';

export function mintLoanTicket(key: SigningKey, ticket: LoanTicket): string {
  const { identity, instanceKey, epoch, deployment, borrower, lender, expiresAtMs } = ticket;
  const { account, app, className, id } = identity;
  const claims = [account, app, className, id, instanceKey, epoch, deployment, borrower, lender, expiresAtMs];
  return mintClaims(key, purpose, claims);
}

/** @throws PermissionDenied for one that is forged, cut off or expired */
export function verifyLoanTicket(keys: readonly SigningKey[], text: string, nowMs: number): LoanTicket {
  const refusal = 'the ticket of a loan is not one of this account';
  const claims = verifyClaims(keys, text, { purpose, refusal });
  const [account, app, className, id, instanceKey, epoch, deployment, borrower, lender, expiresAtMs] = claims;
  if (expiresAtMs > nowMs) {
    return {
      ...{ identity: { account, app, className, id }, instanceKey, epoch, deployment },
      ...{ borrower, lender, expiresAtMs },
    };
  }
  throw new HoldfastError('PermissionDenied', 'the ticket of a loan has expired; a router gives another one');
}
