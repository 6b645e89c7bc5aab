import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../common/clock.js';
import { HoldfastError } from '../common/errors.js';
import type { Role, SigningKey, TokenRecord } from '../common/ports/store.js';
import { isRole } from './role.js';
import { sign, verify } from './signature.js';

/** A token as it came: for a client, to be compared with its record; or minted by a worker, to be verified by the account's keys. */
export type ParsedToken =
  | { readonly kind: 'client'; readonly account: string; readonly id: string; readonly secret: string }
  | WorkerToken;

export interface WorkerToken {
  readonly kind: 'worker';
  readonly account: string;
  readonly role: Role;
  readonly expiresAtMs: number;
  readonly signature: string;
}

const part = /^[A-Za-z0-9_-]{1,128}$/;
const maxLength = 1_024;

/** A fresh token of a client, `hft.<account>.<id>.<secret>`: its text, which is shown once, and what is kept of it. */
export function createToken(
  random: Random,
  token: Pick<TokenRecord, 'account' | 'role' | 'label' | 'createdAtMs'>,
): { readonly text: string; readonly record: TokenRecord } {
  const { account, role, label, createdAtMs } = token;
  if (!part.test(account))
    throw new HoldfastError('InvalidArgument', `'${account}' is no account: use letters, digits, - and _`);
  // Hex: people type it on command lines, where a leading dash would begin an option.
  const id = Buffer.from(random.bytes(8)).toString('hex');
  const secret = Buffer.from(random.bytes(32)).toString('base64url');
  const record = { id, account, role, secretSha256: sha256(secret).toString('hex'), createdAtMs, label };
  return { text: `hft.${account}.${id}.${secret}`, record };
}

/** @throws Unauthenticated where it is none */
export function parseToken(text: string): ParsedToken {
  const [prefix, account = '', ...rest] = text.length > maxLength ? [] : text.split('.');
  if (!part.test(account)) return refuse();
  if (prefix === 'hft') {
    const [id = '', secret = ''] = rest;
    if (rest.length !== 2 || !part.test(id) || !part.test(secret)) return refuse();
    return { kind: 'client', account, id, secret };
  }
  const [role, keyId = '', expires = '', mac = ''] = rest;
  if (prefix !== 'hfw' || rest.length !== 4 || !isRole(role) || !/^[0-9]{1,15}$/.test(expires)) return refuse();
  if (!part.test(keyId) || !part.test(mac)) return refuse();
  return { kind: 'worker', account, role, expiresAtMs: Number(expires), signature: `${keyId}.${mac}` };
}

/** Whether the secret is the one of the record; takes as long wherever it differs. */
export function secretMatches(record: TokenRecord, secret: string): boolean {
  const expected = Buffer.from(record.secretSha256, 'hex');
  const actual = sha256(secret);
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

/** What a worker shows on behalf of its containers: `hfw.<account>.<role>.<key id>.<expiresAtMs>.<mac>`. */
export function mintWorkerToken(
  key: SigningKey,
  token: { readonly account: string; readonly role: Role; readonly expiresAtMs: number },
): string {
  const { account, role, expiresAtMs } = token;
  const [keyId, mac] = sign(key, 'worker-token', [account, role, expiresAtMs]).split('.');
  return `hfw.${account}.${role}.${keyId}.${expiresAtMs}.${mac}`;
}

/** @throws Unauthenticated where it is forged or has expired */
export function verifyWorkerToken(keys: readonly SigningKey[], token: WorkerToken, nowMs: number): void {
  const { account, role, expiresAtMs, signature } = token;
  if (!verify(keys, 'worker-token', { parts: [account, role, expiresAtMs], signature })) return refuse();
  if (expiresAtMs <= nowMs)
    throw new HoldfastError('Unauthenticated', `the worker token of account ${account} has expired`);
}

function sha256(secret: string): Buffer {
  return createHash('sha256').update(secret, 'utf8').digest();
}

function refuse(): never {
  throw new HoldfastError('Unauthenticated', 'the token is not valid; make one with `holdfast token create`');
}
