import { type ErrorCode, HoldfastError, type Outcome } from '../../common/errors.js';
import { isErrorCode, isOutcome } from '../error-codes.js';
import { binaryNames, Tag } from './codec-tags.js';

const errorClasses: Readonly<Record<string, new (message: string) => Error>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/**
 * The value of a tagged form that msgpackr has read from scanned bytes; objects are filled in place.
 * @param message what its binaries are views of: a Buffer that is most of it remains one; null: they have their own memory
 * @throws InvalidArgument
 */
export function fromTagged(tagged: unknown, message: Uint8Array | null): unknown {
  return new Untagger(message).read(tagged);
}

class Untagger {
  /** In the order in which the writer met them. */
  readonly #met: unknown[] = [];
  readonly #message: Uint8Array | null;

  constructor(message: Uint8Array | null) {
    this.#message = message;
  }

  read(tagged: unknown): unknown {
    if (typeof tagged !== 'object' || tagged === null) return tagged;
    if (Array.isArray(tagged)) return this.#readTag(tagged);
    if (Buffer.isBuffer(tagged)) return refuse('bytes stand alone');
    this.#met.push(tagged);
    const record = tagged as Record<string, unknown>;
    for (const key of Object.keys(record)) record[key] = this.read(record[key]);
    return record;
  }

  #readTag(tagged: unknown[]): unknown {
    switch (tagged[0]) {
      case Tag.array:
        return this.#readArray(tagged);
      case Tag.ref: {
        const number = tagged[1];
        if (typeof number !== 'number' || !(number in this.#met)) refuse('a reference leads nowhere');
        return this.#met[number as number];
      }
      case Tag.negativeZero:
        return -0;
      case Tag.bigint:
        return readBigint(tagged);
      case Tag.string:
        return readString(tagged);
      case Tag.date:
        return this.#meet(new Date(numberAt(tagged, 1)));
      case Tag.map:
        return this.#readMap(tagged);
      case Tag.set:
        return this.#readSet(tagged);
      case Tag.regexp:
        return this.#meet(readRegExp(this.#textAt(tagged, 1), stringAt(tagged, 2)));
      case Tag.binary:
        return this.#meet(readBinary(tagged, this.#message));
      case Tag.object:
        return this.#readObject(tagged);
      case Tag.error:
        return this.#readError(tagged);
      case Tag.holdfastError:
        return this.#readHoldfastError(tagged);
      default:
        return refuse('a tag is unknown');
    }
  }

  #meet<T>(value: T): T {
    this.#met.push(value);
    return value;
  }

  #readArray(tagged: unknown[]): unknown[] {
    const items = this.#meet(new Array<unknown>(tagged.length - 1));
    for (let i = 1; i < tagged.length; i += 1) items[i - 1] = this.read(tagged[i]);
    return items;
  }

  #readMap(tagged: unknown[]): Map<unknown, unknown> {
    const map = this.#meet(new Map<unknown, unknown>());
    for (let i = 1; i + 1 < tagged.length; i += 2) {
      const key = this.read(tagged[i]);
      map.set(key, this.read(tagged[i + 1]));
    }
    return map;
  }

  #readSet(tagged: unknown[]): Set<unknown> {
    const set = this.#meet(new Set<unknown>());
    for (let i = 1; i < tagged.length; i += 1) set.add(this.read(tagged[i]));
    return set;
  }

  #readObject(tagged: unknown[]): Record<string, unknown> {
    const record = this.#meet<Record<string, unknown>>({});
    for (let i = 1; i + 1 < tagged.length; i += 2) {
      const key = this.#textAt(tagged, i);
      if (key === '__proto__') refuse('a key is __proto__');
      record[key] = this.read(tagged[i + 1]);
    }
    return record;
  }

  #readError(tagged: unknown[]): Error {
    const name = this.#textAt(tagged, 1);
    const ErrorClass = Object.hasOwn(errorClasses, name) ? errorClasses[name] : undefined;
    const message = this.#textAt(tagged, 2);
    const error = this.#meet(ErrorClass ? new ErrorClass(message) : aggregateOrPlain(name, message));
    if (error.name !== name) hide(error, 'name', name);
    hide(error, 'stack', tagged[3] === null ? `${name}: ${message}` : this.#textAt(tagged, 3));
    if (tagged[4] === true) hide(error, 'cause', this.read(tagged[5]));
    const fields = tagged[6];
    if (typeof fields !== 'object' || fields === null) refuse('an error has no fields');
    for (const [key, value] of Object.entries(fields as object)) {
      const enumerable = !(key === 'errors' && error instanceof AggregateError);
      const field = this.read(value);
      Object.defineProperty(error, key, { value: field, enumerable, writable: true, configurable: true });
    }
    return error;
  }

  #readHoldfastError(tagged: unknown[]): HoldfastError {
    const [, code, , outcome, retryable, details] = tagged;
    if (!isErrorCode(code) || !isOutcome(outcome) || typeof details !== 'object' || details === null) {
      return refuse('an error has no code');
    }
    const place = this.#met.push(null) - 1;
    const fields: Record<string, unknown> = {};
    const options = { outcome: outcome as Outcome, retryable: retryable === true, details: fields };
    const error = new HoldfastError(code as ErrorCode, this.#textAt(tagged, 2), options);
    this.#met[place] = error;
    if (tagged[6] === true) hide(error, 'cause', this.read(tagged[7]));
    for (const [key, value] of Object.entries(details)) fields[key] = this.read(value);
    if (tagged[8] !== null) hide(error, 'stack', this.#textAt(tagged, 8));
    return error;
  }

  #textAt(tagged: readonly unknown[], index: number): string {
    const text = tagged[index];
    return Array.isArray(text) && text[0] === Tag.string ? readString(text) : stringAt(tagged, index);
  }
}

function aggregateOrPlain(name: string, message: string): Error {
  return name === 'AggregateError' ? new AggregateError([], message) : new Error(message);
}

/** As the language itself defines fields of errors. */
function hide(error: Error, key: 'name' | 'stack' | 'cause', value: unknown): void {
  Object.defineProperty(error, key, { value, enumerable: false, writable: true, configurable: true });
}

function readBigint(tagged: readonly unknown[]): bigint {
  const digits = stringAt(tagged, 2);
  if (!/^[0-9a-f]+$/.test(digits)) refuse('a bigint has no digits');
  const magnitude = BigInt(`0x${digits}`);
  return tagged[1] === true ? -magnitude : magnitude;
}

function readString(tagged: readonly unknown[]): string {
  return bytesAt(tagged, 1).toString('utf16le');
}

function readRegExp(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, flags);
  } catch {
    // The reason would repeat the payload.
    return refuse('a regular expression does not compile');
  }
}

function readBinary(tagged: readonly unknown[], message: Uint8Array | null): unknown {
  const name = binaryNames[numberAt(tagged, 1)];
  if (name === undefined) return refuse('a binary type is unknown');
  const view = tagged[2];
  if (name === 'Buffer' && message !== null && Buffer.isBuffer(view) && view.length * 2 > message.length) return view;
  const bytes = bytesAt(tagged, 2);
  if (name === 'Buffer') return bytes;
  // A buffer of their own, aligned.
  const { buffer } = bytes;
  if (name === 'ArrayBuffer') return buffer;
  const View = globalThis[name] as { new (buffer: ArrayBufferLike): ArrayBufferView; BYTES_PER_ELEMENT?: number };
  if (bytes.length % (View.BYTES_PER_ELEMENT ?? 1) !== 0) refuse(`a ${name} has ${bytes.length} bytes`);
  return new View(buffer);
}

function bytesAt(tagged: readonly unknown[], index: number): Buffer {
  const bytes = tagged[index];
  if (!Buffer.isBuffer(bytes)) return refuse('bytes are missing');
  if (bytes.byteOffset === 0 && bytes.buffer.byteLength === bytes.length) return bytes;
  return Buffer.from(new Uint8Array(bytes).buffer);
}

function numberAt(tagged: readonly unknown[], index: number): number {
  const value = tagged[index];
  return typeof value === 'number' ? value : refuse('a number is missing');
}

function stringAt(tagged: readonly unknown[], index: number): string {
  const value = tagged[index];
  return typeof value === 'string' ? value : refuse('a string is missing');
}

function refuse(why: string): never {
  throw new HoldfastError('InvalidArgument', `the bytes do not decode to a value: ${why}`);
}
