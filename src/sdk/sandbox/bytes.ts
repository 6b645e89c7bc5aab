import { HoldfastError } from '../../common/errors.js';

/** A view of it; text as UTF-8. @throws InvalidArgument */
export function bytesOf(value: unknown): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  const got = value === null ? 'null' : typeof value;
  throw new HoldfastError('InvalidArgument', `expected a Uint8Array, an ArrayBuffer or a string, got ${got}`);
}
