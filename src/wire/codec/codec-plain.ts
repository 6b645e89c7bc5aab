import { maxValueDepth } from './codec-scan.js';
import { isPlainString } from './codec-tags.js';

/** Up to here a search of a list beats a set. */
const listedObjects = 16;
const listed: object[] = [];
const more = new Set<object>();

/**
 * Whether plain MessagePack keeps all of it: JSON-like values and undefined, no -0, nothing met twice. A `false` says only
 * that the tagged form must be tried, which also finds what cannot travel at all.
 */
export function isPlain(value: unknown): boolean {
  try {
    return walk(value, 0);
  } finally {
    listed.length = 0;
    if (more.size > 0) more.clear();
  }
}

function walk(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return isPlainString(value);
    case 'number':
      return value !== 0 || 1 / value > 0;
    case 'boolean':
    case 'undefined':
      return true;
    case 'object':
      return value === null || walkObject(value, depth);
    default:
      return false;
  }
}

function walkObject(value: object, depth: number): boolean {
  if (depth === maxValueDepth || wasMet(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Array.prototype) {
    const items = value as unknown[];
    for (let i = 0; i < items.length; i += 1) if (!walk(items[i], depth + 1)) return false;
    return true;
  }
  // msgpackr decides by `constructor`, so an own field of that name goes the other way.
  if (prototype !== Object.prototype || value.constructor !== Object) return false;
  let isEmpty = true;
  for (const key in value) {
    isEmpty = false;
    if (key === '__proto__' || !isPlainString(key)) return false;
    if (!walk((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  // Symbols are left out beside other fields; what has nothing but its values would arrive as an empty object.
  return !(isEmpty && Symbol.asyncIterator in value);
}

function wasMet(value: object): boolean {
  if (listed.length < listedObjects) {
    for (let i = 0; i < listed.length; i += 1) if (listed[i] === value) return true;
    listed.push(value);
    return false;
  }
  if (more.has(value) || listed.includes(value)) return true;
  more.add(value);
  return false;
}
