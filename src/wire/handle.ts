import { HoldfastError } from '../common/errors.js';
import type { SigningKey } from '../common/ports/store.js';
import { sign, verify } from './signature.js';

/** Names one generation of one instance, for anyone with a token of the account; carries no address and creates nothing (S12). */
export interface ClassInstanceHandle {
  readonly v: 1;
  readonly kind: 'class' | 'sandbox';
  readonly account: string;
  readonly app: string;
  readonly name: string;
  readonly id: string;
  readonly generation: number;
  readonly signature: string;
}

/** A handle as the protos carry it. */
export type HandleFields = {
  readonly [K in keyof ClassInstanceHandle]: ClassInstanceHandle[K] extends string ? string : number;
};

const maxTextLength = 8_192;
const maxFieldLength = 1_024;

export function signHandle(key: SigningKey, handle: Omit<ClassInstanceHandle, 'signature'>): ClassInstanceHandle {
  const { v, kind, account, app, name, id, generation } = handle;
  return { v, kind, account, app, name, id, generation, signature: sign(key, 'handle', partsOf(handle)) };
}

/**
 * @param account of whoever brought it; where it is left out, the caller has compared it
 * @throws PermissionDenied
 */
export function verifyHandle(keys: readonly SigningKey[], handle: HandleFields, account = handle.account): void {
  if (handle.account !== account) {
    throw new HoldfastError('PermissionDenied', `the handle of ${describe(handle)} belongs to another account`);
  }
  if (verify(keys, 'handle', { parts: partsOf(handle), signature: handle.signature })) return;
  throw new HoldfastError('PermissionDenied', `the signature of the handle of ${describe(handle)} does not hold`);
}

/**
 * A handle as it was stored: its object or its JSON. Its signature is for the router to verify.
 * @throws InvalidArgument where it is none, PermissionDenied where it is one that was cut off
 */
export function parseHandle(input: ClassInstanceHandle | string): ClassInstanceHandle {
  const value: unknown = typeof input === 'string' ? parseText(input) : input;
  if (typeof value !== 'object' || value === null) return refuse('it is not an object');
  const { v, kind, account, app, name, id, generation, signature } = value as Partial<ClassInstanceHandle>;
  if (v !== 1) return refuse('its version is not 1');
  if (kind !== 'class' && kind !== 'sandbox') return refuse('its kind is neither class nor sandbox');
  if (!isName(account) || !isName(app) || !isName(name) || !isName(id))
    return refuse('a name in it is missing or too long');
  if (!isName(signature)) return refuse('it has no signature');
  if (!Number.isSafeInteger(generation) || (generation as number) < 0)
    return refuse('its generation is not a whole number');
  return { v, kind, account, app, name, id, generation: generation as number, signature };
}

function parseText(text: string): unknown {
  if (text.length > maxTextLength) return refuse(`it is ${text.length} characters long`);
  try {
    return JSON.parse(text);
  } catch {
    // The text itself would repeat what may be a secret of somebody else's.
    if (text.trimStart().startsWith('{"v":1,')) throw new HoldfastError('PermissionDenied', 'the handle is cut off');
    return refuse('it is not JSON');
  }
}

function partsOf(handle: Omit<HandleFields, 'signature'>): (string | number)[] {
  const { v, kind, account, app, name, id, generation } = handle;
  return [v, kind, account, app, name, id, generation];
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= maxFieldLength;
}

function describe(handle: Omit<HandleFields, 'signature'>): string {
  return `${handle.app}/${handle.name}/${handle.id}`;
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `this is no handle: ${why}; pass what \`handle\` or \`handleJson\` gave`);
}
