import { types } from 'node:util';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { classOf, describe, describeClass } from './codec-classes.js';
import { maxValueContainers, maxValueDepth } from './codec-scan.js';
import { binaryNames, isPlainString, maxCauseDepth, Tag } from './codec-tags.js';

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u;
const namedFieldsOfErrors: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause']);
const noFields: ReadonlySet<string> = new Set();

/** The tagged form of a value (see codec-tags), and how many bytes of it are in binaries. */
export interface TaggedValue {
  readonly tagged: unknown;
  readonly binaryBytes: number;
}

/**
 * @param label name of the value in messages: `args`
 * @throws NotSerializable, with `details.path`
 */
export function toTagged(value: unknown, label: string): TaggedValue {
  const tagger = new Tagger(label);
  const tagged = tagger.tag(value);
  return { tagged, binaryBytes: tagger.binaryBytes };
}

class Tagger {
  binaryBytes = 0;
  readonly #label: string;
  /** Steps from the root to the value at hand. */
  readonly #path: string[] = [];
  /** What has been met, in order, and the place of each. */
  readonly #met: object[] = [];
  readonly #numbers = new Map<object, number>();
  #causeDepth = 0;

  constructor(label: string) {
    this.#label = label;
  }

  tag(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        return tagString(value);
      case 'number':
        return Object.is(value, -0) ? [Tag.negativeZero] : value;
      case 'boolean':
      case 'undefined':
        return value;
      case 'bigint':
        return [Tag.bigint, value < 0n, (value < 0n ? -value : value).toString(16)];
      case 'object':
        return value === null ? null : this.#tagObject(value);
      case 'function':
        return this.#refuse(value.name ? `is a function (${value.name})` : 'is a function');
      default:
        return this.#refuse('is a symbol');
    }
  }

  #tagObject(value: object): unknown {
    const number = this.#numbers.get(value);
    if (number !== undefined) return [Tag.ref, number];
    if (this.#path.length >= maxValueDepth) return this.#refuse(`is nested deeper than ${maxValueDepth} levels`);
    if (this.#met.length === maxValueContainers) return this.#refuse(`holds more than ${maxValueContainers} objects`);
    this.#numbers.set(value, this.#met.length);
    this.#met.push(value);
    if (value instanceof Error || types.isNativeError(value)) return this.#tagError(value);
    const name = classOf(value);
    switch (name) {
      case 'Object':
        return this.#tagRecord(value as Record<string, unknown>);
      case 'Array':
        return [Tag.array, ...this.#tagItems(value as unknown[])];
      case 'Map':
        return this.#tagMap(value as Map<unknown, unknown>);
      case 'Set':
        return [Tag.set, ...this.#tagItems([...(value as Set<unknown>)])];
      case 'Date':
        return [Tag.date, (value as Date).getTime()];
      case 'RegExp':
        return [Tag.regexp, tagString((value as RegExp).source), (value as RegExp).flags];
      case null:
        return isIterator(value) ? this.#refuseIterator() : this.#refuse(`is an instance of ${describeClass(value)}`);
      default:
        return this.#tagBinary(name, value as ArrayBuffer | ArrayBufferView);
    }
  }

  #tagBinary(name: (typeof binaryNames)[number], value: ArrayBuffer | ArrayBufferView): unknown[] {
    const bytes = bytesOf(value);
    this.binaryBytes += bytes.length;
    return [Tag.binary, binaryNames.indexOf(name), bytes];
  }

  #tagItems(items: readonly unknown[]): unknown[] {
    const tagged = new Array<unknown>(items.length);
    for (let i = 0; i < items.length; i += 1) tagged[i] = this.#step(`[${i}]`, items[i]);
    return tagged;
  }

  #tagRecord(value: Record<string, unknown>): unknown {
    const keys = Object.keys(value);
    if (keys.length === 0 && Symbol.asyncIterator in value) return this.#refuseIterator();
    if (!keys.every(fitsMap)) {
      return [Tag.object, ...keys.flatMap((key) => [tagString(key), this.#field(key, value[key])])];
    }
    const tagged: Record<string, unknown> = {};
    for (const key of keys) tagged[key] = this.#field(key, value[key]);
    return tagged;
  }

  #tagMap(value: Map<unknown, unknown>): unknown[] {
    const tagged: unknown[] = [Tag.map];
    for (const [key, item] of value) {
      const name = typeof key === 'string' || typeof key === 'number' ? JSON.stringify(key) : '…';
      tagged.push(this.#step('.keys()', key), this.#step(`.get(${name})`, item));
    }
    return tagged;
  }

  /** An error must arrive whatever hangs on it: what cannot travel of its cause and fields is left behind. */
  #tagError(error: Error): unknown[] {
    const message = tagString(String(error.message));
    const stack = typeof error.stack === 'string' ? tagString(error.stack) : null;
    const hasCause = Object.hasOwn(error, 'cause') && this.#causeDepth < maxCauseDepth;
    const cause = hasCause ? this.#tagCause(error.cause) : null;
    if (isHoldfastError(error)) {
      const { code, outcome, retryable } = error;
      const details = this.#tagFields(error.details, noFields);
      return [Tag.holdfastError, code, message, outcome, retryable, details, hasCause, cause, stack];
    }
    const fields = this.#tagFields(error, namedFieldsOfErrors);
    return [Tag.error, tagString(String(error.name)), message, stack, hasCause, cause, fields];
  }

  #tagCause(cause: unknown): unknown {
    this.#causeDepth += 1;
    const tagged = this.#tagOrDrop('cause', () => cause);
    this.#causeDepth -= 1;
    return tagged.dropped ? describe(cause) : tagged.value;
  }

  #tagFields(owner: object, except: ReadonlySet<string>): Record<string, unknown> {
    const fields: Record<string, unknown> = {};
    const keys = Object.keys(owner);
    if (owner instanceof AggregateError) keys.push('errors');
    for (const key of keys) {
      if (except.has(key) || key === '__proto__' || !fitsMap(key)) continue;
      const tagged = this.#tagOrDrop(key, () => (owner as Record<string, unknown>)[key]);
      if (!tagged.dropped) fields[key] = tagged.value;
    }
    return fields;
  }

  #tagOrDrop(key: string, read: () => unknown): { dropped: false; value: unknown } | { dropped: true } {
    const met = this.#met.length;
    const depth = this.#path.length;
    const causeDepth = this.#causeDepth;
    try {
      return { dropped: false, value: this.#field(key, read()) };
    } catch {
      // The reader never sees what was met on the way, so it must not be counted.
      for (const forgotten of this.#met.splice(met)) this.#numbers.delete(forgotten);
      this.#path.length = depth;
      this.#causeDepth = causeDepth;
      return { dropped: true };
    }
  }

  #field(key: string, value: unknown): unknown {
    if (key === '__proto__') this.#refuse('has a field named __proto__');
    if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return this.tag(value);
    return this.#step(identifier.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`, value);
  }

  #step(step: string, value: unknown): unknown {
    this.#path.push(step);
    const tagged = this.tag(value);
    this.#path.pop();
    return tagged;
  }

  #refuseIterator(): never {
    return this.#refuse(
      'is an iterator',
      'send its values, as a method declared with function* or async function* does',
    );
  }

  #refuse(why: string, instead = 'send plain data instead'): never {
    const whole = this.#label + this.#path.join('');
    const path = whole.length > 300 ? `${whole.slice(0, 150)}…${whole.slice(-150)}` : whole;
    throw new HoldfastError('NotSerializable', `${path} ${why}, which cannot travel: ${instead}`, {
      details: { path },
    });
  }
}

function isIterator(value: object): boolean {
  if (Symbol.asyncIterator in value) return true;
  return Symbol.iterator in value && typeof Reflect.get(value, 'next') === 'function';
}

function tagString(text: string): unknown {
  return isPlainString(text) ? text : [Tag.string, Buffer.from(text, 'utf16le')];
}

/** msgpackr decides by `constructor`. */
function fitsMap(key: string): boolean {
  return key !== 'constructor' && isPlainString(key);
}

function bytesOf(value: ArrayBuffer | ArrayBufferView): Buffer {
  if (!ArrayBuffer.isView(value)) return Buffer.from(value);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
