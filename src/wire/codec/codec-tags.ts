/**
 * The rich form of a value (flag 1). A MessagePack map is a plain object; an array is `[tag, …]`; numbers, strings, booleans,
 * null and undefined are themselves. What has identity gets a number in the order in which it is first met, so a second
 * meeting, in a cycle or shared, is `[ref, number]`.
 */
export const Tag = {
  /** Items. */
  array: 0,
  /** Number of something met before. */
  ref: 1,
  negativeZero: 2,
  /** Is it negative | hexadecimal digits. */
  bigint: 3,
  /** Milliseconds, NaN for an invalid date. */
  date: 4,
  /** Key, value, key, value… */
  map: 5,
  /** Items. */
  set: 6,
  /** Source | flags. */
  regexp: 7,
  /** Index in `binaryNames` | bytes. */
  binary: 8,
  /** Name | message | stack or null | has it a cause | cause | other fields. */
  error: 9,
  /** UTF-16: a string that UTF-8 cannot hold. */
  string: 10,
  /** Key, value, key, value… of an object whose keys a map of MessagePack cannot hold. */
  object: 11,
  /** Code | message | outcome | retryable | details | has it a cause | cause | stack or null. */
  holdfastError: 12,
} as const;

/** Binary types in the order of their numbers on the wire. */
export const binaryNames = [
  'Buffer',
  'Uint8Array',
  'Int8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'ArrayBuffer',
  'DataView',
] as const;

/** Causes behind causes that travel; the rest of a longer chain is left behind. */
export const maxCauseDepth = 8;

/**
 * False: msgpackr would change the string. UTF-8 has no lone surrogates, and its decoder of long strings drops a leading
 * byte order mark.
 */
export function isPlainString(text: string): boolean {
  return text.charCodeAt(0) !== 0xfeff && (text as string & { isWellFormed(): boolean }).isWellFormed();
}
