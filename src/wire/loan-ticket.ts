import { HoldfastError } from '../common/errors.js';
import type { BootId, Epoch, Identity, InstanceKey } from '../common/ids.js';
import type { SigningKey } from '../common/ports/store.js';
import { sign, verify } from './signature.js';

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
const maxLength = 4_096;

/** `<claims>.<key id>.<mac>`: a router's word that a worker takes without asking anyone. */
export function mintLoanTicket(key: SigningKey, ticket: LoanTicket): string {
  const { identity, instanceKey, epoch, deployment, borrower, lender, expiresAtMs } = ticket;
  const { account, app, className, id } = identity;
  const claims = [account, app, className, id, instanceKey, epoch, deployment, borrower, lender, expiresAtMs];
  const text = Buffer.from(JSON.stringify(claims), 'utf8').toString('base64url');
  return `${text}.${sign(key, purpose, [text])}`;
}

/** @throws PermissionDenied for one that is forged, cut off or expired */
export function verifyLoanTicket(keys: readonly SigningKey[], text: string, nowMs: number): LoanTicket {
  const dot = text.length > maxLength ? -1 : text.indexOf('.');
  const claims = text.slice(0, Math.max(0, dot));
  if (dot < 0 || !verify(keys, purpose, { parts: [claims], signature: text.slice(dot + 1) }))
    throw new HoldfastError('PermissionDenied', 'the ticket of a loan is not one of this account');
  const ticket = parse(claims);
  if (ticket.expiresAtMs > nowMs) return ticket;
  throw new HoldfastError('PermissionDenied', 'the ticket of a loan has expired; a router gives another one');
}

/** Of text that we have signed. */
function parse(text: string): LoanTicket {
  const claims = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  const [account, app, className, id, instanceKey, epoch, deployment, borrower, lender, expiresAtMs] = claims;
  return {
    ...{ identity: { account, app, className, id }, instanceKey, epoch, deployment },
    ...{ borrower, lender, expiresAtMs },
  };
}
