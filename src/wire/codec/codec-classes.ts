import { types } from 'node:util';
import { binaryNames } from './codec-tags.js';

export type TravellingClass = 'Object' | 'Array' | 'Map' | 'Set' | 'Date' | 'RegExp' | (typeof binaryNames)[number];

/**
 * Which class that can travel an object is of, whatever realm it comes from; null: none, a subclass included, because it
 * would arrive as something else than it was sent.
 */
export function classOf(value: object): TravellingClass | null {
  const prototype: object | null = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return 'Object';
  const name = builtinName(value);
  return name !== null && Object.hasOwn(prototype, 'constructor') && constructorName(prototype) === name ? name : null;
}

export function describeClass(value: object): string {
  return constructorName(value) || 'a class';
}

/** One line about something that cannot travel itself. */
export function describe(value: unknown): string {
  if (typeof value === 'object' && value !== null) return `[${describeClass(value)}]`;
  return typeof value === 'function' ? `[function ${value.name}]` : String(value);
}

function builtinName(value: object): TravellingClass | null {
  if (Array.isArray(value)) return 'Array';
  if (types.isMap(value)) return 'Map';
  if (types.isSet(value)) return 'Set';
  if (types.isDate(value)) return 'Date';
  if (types.isRegExp(value)) return 'RegExp';
  if (Buffer.isBuffer(value)) return 'Buffer';
  if (types.isTypedArray(value)) {
    const name = value[Symbol.toStringTag] as TravellingClass;
    return (binaryNames as readonly string[]).includes(name) ? name : null;
  }
  if (types.isArrayBuffer(value)) return 'ArrayBuffer';
  if (types.isDataView(value)) return 'DataView';
  return Object.getPrototypeOf(Object.getPrototypeOf(value)) === null ? 'Object' : null;
}

function constructorName(value: object): string {
  const made: unknown = value.constructor;
  return typeof made === 'function' ? made.name : '';
}
