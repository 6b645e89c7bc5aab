import { type ErrorCode, HoldfastError, isHoldfastError, type Outcome } from '../common/errors.js';
import { decodeValue, encodeValue } from './codec/codec.js';
import { describe } from './codec/codec-classes.js';
import { isErrorCode, isOutcome } from './error-codes.js';

/** An error as it travels: this, as wire/codec encodes values. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly details: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** Errors travel in one frame, never in chunks: of a longer one its cause is cut first, then its details, then its message. */
export const maxErrorBytes = 65_536;
const keptMessageCharacters = 1_024;
const keptFields = 32;
/** Of all fields; with what else of a cause is kept they fit into a frame, whatever their characters are. */
const keptFieldCharacters = 16_384;
const errorFields: ReadonlySet<string> = new Set(['name', 'message', 'stack', '__proto__']);

/** A HoldfastError as it is, anything else as `Internal` with its message alone. */
export function encodeError(error: unknown, maxBytes = maxErrorBytes): Uint8Array {
  return encodeWireError(isHoldfastError(error) ? wireErrorOf(error) : internalError(error), maxBytes);
}

/**
 * What the user's code threw, whatever it is: `UserError`, outcome `ran`, the thrown value as its cause. A `Deadlock` is about
 * the whole chain of calls, so everyone in it gets it as it is.
 */
export function encodeUserError(thrown: unknown, maxBytes = maxErrorBytes): Uint8Array {
  if (isHoldfastError(thrown, 'Deadlock')) return encodeWireError({ ...wireErrorOf(thrown), outcome: 'ran' }, maxBytes);
  const message = thrown instanceof Error ? `${nameOf(thrown)}: ${messageOf(thrown)}` : describe(thrown);
  // Errors always travel, at least in part; of a function or an instance of a class the description must do.
  const cause = thrown instanceof Error || tryEncode(thrown) !== null ? thrown : describe(thrown);
  return encodeWireError(
    { code: 'UserError', message, outcome: 'ran', retryable: false, details: {}, cause },
    maxBytes,
  );
}

/** Never throws: bytes that are no error become `Internal`, outcome `unknown`. */
export function decodeError(bytes: Uint8Array): HoldfastError {
  try {
    return errorOf(decodeValue(bytes));
  } catch (error) {
    return new HoldfastError('Internal', 'an error came back that cannot be read', {
      outcome: 'unknown',
      cause: error,
    });
  }
}

function wireErrorOf(error: HoldfastError): WireError {
  const { code, message, outcome, retryable, details, cause } = error;
  return { code, message, outcome, retryable, details, ...(cause === undefined ? {} : { cause }) };
}

/** Stacks and fields of our own failures say nothing to a caller. */
function internalError(error: unknown): WireError {
  const message = error instanceof Error ? `${nameOf(error)}: ${messageOf(error)}` : describe(error);
  return { code: 'Internal', message, outcome: 'unknown', retryable: false, details: {} };
}

function encodeWireError(error: WireError, maxBytes: number): Uint8Array {
  const { cause, ...withoutCause } = error;
  const smaller: (() => WireError)[] = [
    () => error,
    () => ({ ...withoutCause, ...shortened(cause) }),
    () => ({
      ...withoutCause,
      ...shortened(cause),
      details: {},
      message: error.message.slice(0, keptMessageCharacters),
    }),
    () => ({ ...withoutCause, details: {}, message: error.message.slice(0, keptMessageCharacters) }),
  ];
  for (const candidate of smaller) {
    const bytes = tryEncode(candidate());
    if (bytes !== null && bytes.length <= maxBytes) return bytes;
  }
  return encodeValue({ ...withoutCause, details: {}, message: '' });
}

/** Null: it cannot travel. */
function tryEncode(value: unknown): Uint8Array | null {
  try {
    return encodeValue(value);
  } catch {
    return null;
  }
}

function shortened(cause: unknown): { cause?: Error } {
  if (!(cause instanceof Error)) return {};
  const short = new Error(messageOf(cause).slice(0, keptMessageCharacters));
  short.name = nameOf(cause).slice(0, 100);
  short.stack = (readText(() => cause.stack) ?? '').slice(0, keptMessageCharacters);
  return { cause: Object.assign(short, shortFields(cause)) };
}

/** What programs branch on, a `code` or a `status`, is short; what made the error too long is not. */
function shortFields(error: Error): Record<string, unknown> {
  const names = Object.keys(error).filter((name) => !errorFields.has(name) && name.length <= keptMessageCharacters);
  const kept: Record<string, unknown> = {};
  let left = keptFieldCharacters;
  for (const name of names.slice(0, keptFields)) {
    const value = readValue(() => Reflect.get(error, name));
    const length = name.length + (typeof value === 'string' ? value.length : 0);
    if (!isShort(value) || length > left) continue;
    kept[name] = value;
    left -= length;
  }
  return kept;
}

function isShort(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= keptMessageCharacters;
  return typeof value === 'number' || typeof value === 'boolean' || value === null;
}

function errorOf(value: unknown): HoldfastError {
  const { code, message, outcome, retryable, details, cause } = value as Partial<WireError>;
  if (!isErrorCode(code) || typeof message !== 'string' || !isOutcome(outcome)) {
    throw new HoldfastError('InvalidArgument', 'the bytes are a value, but no error');
  }
  const fields = typeof details === 'object' && details !== null ? details : {};
  return new HoldfastError(code, message, { outcome, retryable: retryable === true, details: fields, cause });
}

// `name` and `message` may be getters of the user's that throw.
function nameOf(error: Error): string {
  return readText(() => error.name) ?? 'Error';
}

function messageOf(error: Error): string {
  return readText(() => error.message) ?? 'its message cannot be read';
}

function readText(read: () => unknown): string | null {
  try {
    return String(read());
  } catch {
    return null;
  }
}

function readValue(read: () => unknown): unknown {
  try {
    return read();
  } catch {
    return undefined; // A getter of the user's.
  }
}
