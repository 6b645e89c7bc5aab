/**
 * Values on the wire. The first byte says how the rest reads:
 *
 *   0  plain MessagePack: JSON-like values and undefined
 *   1  tagged MessagePack (codec-tags): everything else that can travel
 *   2  a reference: UTF-8 key of the object store; constructor arguments only, made by the router
 *
 * What survives: undefined, -0, NaN, BigInt, any string, Date, Map, Set, RegExp, typed arrays, Buffer, ArrayBuffer,
 * DataView, errors (class of the language's own, name, message, stack, cause, fields), HoldfastErrors, cycles and shared
 * references. What changes: holes of an array become undefined; fields beside the items of an array, symbol keys, getters
 * (their value travels), `lastIndex` and a prototype of null are lost; views of one ArrayBuffer get one each; more than 8
 * causes behind each other are cut. What cannot travel is `NotSerializable`: functions, symbols, instances of other
 * classes, a field named `__proto__`, more than 1 000 levels.
 *
 * msgpackr's own rich mode is not used: it decodes extensions from any bytes, recurses without a bound, compiles functions
 * from record names in the message, and loses errors' fields, -0 and lone surrogates. Measured (Node 20, 2 vCPU):
 * `['hello', { a: 1 }]` takes about 0.3 µs each way.
 */
import { createHash } from 'node:crypto';
import { Packr, RESERVE_START_SPACE, Unpackr } from 'msgpackr';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { defaultMaxPayloadBytes, inlinePayloadBytes } from '../frames/frames.js';
import { isPlain } from './codec-plain.js';
import { scanMessage } from './codec-scan.js';
import { toTagged } from './codec-tagged.js';
import { fromTagged } from './codec-untagged.js';
import { isScratchMemory, packIntoOwn, packIntoScratch, useOwn } from './pack-memory.js';

const Flag = { plain: 0, tagged: 1, reference: 2 } as const;

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackOptions = { useRecords: false, mapsAsObjects: true, structuredClone: false } as const;
const unpackr = new Unpackr({ ...unpackOptions, copyBuffers: true });
const sharingUnpackr = new Unpackr({ ...unpackOptions, copyBuffers: false });
const afterFlag = { start: 1 };
const keptBytes = 8_192;
const reserveFlag = RESERVE_START_SPACE | 1;
/** msgpackr goes on writing behind a message in the buffer that it grew for it: not after one that is longer than this. */
const keptBufferBytes = 1_048_576;
/** Values with more bytes than this get a buffer of their own size: msgpackr would take one four times as long. */
const ownBufferBytes = 32_768;
/** For what stands beside the bytes; where it is too little msgpackr takes another buffer. */
const besideBytes = 4_096;

/**
 * The bytes share memory with other messages: copy those that are kept for long.
 * @throws NotSerializable (`details.path`), PayloadTooLarge
 */
export function encodeValue(value: unknown, label = 'value', maxBytes = defaultMaxPayloadBytes): Uint8Array {
  packIntoOwn(packr);
  return checked(value, { label, maxBytes, ownBytes: ownBufferBytes });
}

/**
 * As `encodeValue`, but what fits in one frame may be gone when the next value is encoded: for who copies that at once.
 * @throws NotSerializable (`details.path`), PayloadTooLarge
 */
export function encodeForNow(value: unknown, label: string): Uint8Array {
  packIntoScratch(packr);
  const bytes = checked(value, { label, maxBytes: defaultMaxPayloadBytes, ownBytes: inlinePayloadBytes });
  return bytes.length > inlinePayloadBytes && isScratchMemory(bytes) ? Uint8Array.from(bytes) : bytes;
}

interface Encoding {
  readonly label: string;
  readonly maxBytes: number;
  /** With more bytes in binaries than this it gets memory of its own. */
  readonly ownBytes: number;
}

function checked(value: unknown, { label, maxBytes, ownBytes }: Encoding): Uint8Array {
  let bytes: Buffer;
  try {
    bytes = isPlain(value) ? pack(value, Flag.plain) : packTagged(value, label, ownBytes);
  } catch (error) {
    if (isHoldfastError(error)) throw error;
    // A getter or a proxy of the caller's threw, or the stack ended.
    throw new HoldfastError('NotSerializable', `${label} cannot be read: ${error}`, {
      details: { path: label },
      cause: error,
    });
  }
  if (bytes.length <= maxBytes) return bytes;
  throw new HoldfastError('PayloadTooLarge', `${label} takes ${bytes.length} bytes, at most ${maxBytes} may travel`, {
    details: { bytes: bytes.length, maxBytes },
  });
}

/** Arguments of a call or of a constructor. @throws NotSerializable, PayloadTooLarge */
export function encodeArgs(args: readonly unknown[], maxBytes = defaultMaxPayloadBytes): Uint8Array {
  return encodeValue(args, 'args', maxBytes);
}

/**
 * Nothing of the result shares memory with `bytes`; where they are `given` away, a Buffer that is most of them does.
 * @throws InvalidArgument
 */
export function decodeValue(bytes: Uint8Array, given = false): unknown {
  const flag = bytes[0];
  if (flag !== Flag.plain && flag !== Flag.tagged) {
    const what = flag === Flag.reference ? 'they are a reference' : `their flag is ${flag}`;
    throw new HoldfastError('InvalidArgument', `the bytes do not decode to a value: ${what}`);
  }
  const isShared = given && flag === Flag.tagged;
  const value = unpack(bytes, isShared);
  if (flag === Flag.plain) return value;
  try {
    return fromTagged(value, isShared ? bytes : null);
  } catch (error) {
    throw asInvalid(error);
  }
}

/** As `decodeValue`. @throws InvalidArgument */
export function decodeArgs(bytes: Uint8Array, given = false): unknown[] {
  const args = decodeValue(bytes, given);
  if (Array.isArray(args)) return args;
  throw new HoldfastError(
    'InvalidArgument',
    `arguments decode to ${args === null ? 'null' : typeof args}, not to a list`,
  );
}

/**
 * SHA-256 in hexadecimal, the same for equal arguments whatever the order of their fields.
 * @throws InvalidArgument
 */
export function hashArgs(bytes: Uint8Array): string {
  const hash = createHash('sha256');
  if (bytes[0] === Flag.reference) return hash.update(bytes).digest('hex');
  packIntoOwn(packr);
  const canonical = pack(sortFields(unpack(bytes)), bytes[0] as number);
  return hash.update(canonical).digest('hex');
}

/** Constructor arguments that the router has put into the object store under `key`. */
export function encodeReference(key: string): Uint8Array {
  return Buffer.concat([Buffer.of(Flag.reference), Buffer.from(key, 'utf8')]);
}

/** The key of the object store, or null: the arguments themselves. */
export function readReference(bytes: Uint8Array): string | null {
  return bytes[0] === Flag.reference ? asBuffer(bytes).toString('utf8', 1) : null;
}

function pack(value: unknown, flag: number): Buffer {
  const bytes = packr.pack(value, reserveFlag);
  bytes[0] = flag;
  if (bytes.length > keptBufferBytes) useOwn(packr, keptBytes);
  return bytes;
}

function packTagged(value: unknown, label: string, ownBytes: number): Buffer {
  const { tagged, binaryBytes } = toTagged(value, label);
  if (binaryBytes <= ownBytes) return pack(tagged, Flag.tagged);
  useOwn(packr, binaryBytes + besideBytes);
  try {
    return pack(tagged, Flag.tagged);
  } finally {
    useOwn(packr, keptBytes);
  }
}

/** @param isShared binaries are views of `bytes` */
function unpack(bytes: Uint8Array, isShared = false): unknown {
  scanMessage(bytes, 1);
  try {
    return (isShared ? sharingUnpackr : unpackr).unpack(asBuffer(bytes), afterFlag);
  } catch (error) {
    throw asInvalid(error);
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function asInvalid(error: unknown): HoldfastError {
  if (isHoldfastError(error)) return error;
  return new HoldfastError('InvalidArgument', `the bytes do not decode to a value: ${error}`);
}

/** In place; the depth is that of scanned bytes. */
function sortFields(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(sortFields);
  const fields = Object.entries(value).map(([key, field]): [string, unknown] => [key, sortFields(field)]);
  return Object.fromEntries(fields.sort(([a], [b]) => (a < b ? -1 : 1)));
}
