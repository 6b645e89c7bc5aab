import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { HoldfastError, isHoldfastError } from '../../src/common/errors.js';
import {
  decodeArgs,
  decodeValue,
  encodeArgs,
  encodeForNow,
  encodeReference,
  encodeValue,
  hashArgs,
  readReference,
} from '../../src/wire/codec/codec.js';
import { encodeBody } from '../../src/wire/frames/frame-bodies.js';

const roundTrip = (value: unknown) => decodeValue(encodeValue(value));

function refusalOf(act: () => unknown): HoldfastError {
  try {
    act();
  } catch (error) {
    if (isHoldfastError(error)) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

async function* asyncValues(): AsyncGenerator<number> {
  yield 1;
}

describe('an iterator', () => {
  it('is refused with what to do instead', () => {
    const iterable = { [Symbol.asyncIterator]: asyncValues };
    for (const made of [asyncValues(), [1].values(), new Map().values(), iterable, new ReadableStream()]) {
      const { code, message } = refusalOf(() => encodeValue(made, 'result'));
      expect([code, message]).toEqual([
        'NotSerializable',
        'result is an iterator, which cannot travel: send its values, as a method declared with function* or async function* does',
      ]);
    }
  });
});

const notProto = (key: string) => key !== '__proto__';
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'binary', minLength: 60, maxLength: 200 }),
);
const anything = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom(null, undefined, true, false, -0, Number.NaN, Number.POSITIVE_INFINITY),
    fc.integer(),
    fc.double(),
    fc.maxSafeInteger(),
    fc.bigInt(),
    text,
    fc.date({ noInvalidDate: true }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.uint8Array(),
    fc.float64Array(),
    fc.int32Array(),
    fc.bigUint64Array(),
    fc.array(tie('value')),
    fc.dictionary(text.filter(notProto), tie('value'), { noNullPrototype: true }),
    fc.dictionary(fc.constantFrom('constructor', 'toJSON', 'hasOwnProperty', 'valueOf', 'length'), tie('value'), {
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie('value'), tie('value'))).map((entries) => new Map(entries)),
    fc.array(tie('value')).map((items) => new Set(items)),
  ),
})).value;

describe('values on the wire', () => {
  it('survive a round trip', () => {
    fc.assert(
      fc.property(anything, (value) => isDeepStrictEqual(roundTrip(value), value)),
      { numRuns: 2_000 },
    );
  });

  it('survive as arguments, and bytes that share no memory with the message', () => {
    const bytes = encodeArgs([Buffer.from('abc'), Uint8Array.of(1, 2), 'text']);
    const [buffer, array] = decodeArgs(bytes) as [Buffer, Uint8Array];
    bytes.fill(0);
    expect(buffer).toEqual(Buffer.from('abc'));
    expect(array).toEqual(Uint8Array.of(1, 2));
  });

  it('survive when they hold many bytes, whoever has the message afterwards', () => {
    for (const bytes of [32_768, 32_769, 70_000, 1_048_577]) {
      const value = { text: 'x'.repeat(5_000), buffer: Buffer.alloc(bytes, 'b'), array: new Uint8Array(bytes).fill(7) };
      expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true);
      expect(isDeepStrictEqual(decodeValue(encodeValue(value), true), value)).toBe(true);
      expect(isDeepStrictEqual(decodeArgs(encodeArgs([value.buffer]), true), [value.buffer])).toBe(true);
    }
    expect(isDeepStrictEqual(roundTrip(['small', 1]), ['small', 1])).toBe(true);
  });

  it('share memory with a message that is given away only where they are most of it, as a Buffer', () => {
    const message = encodeValue({ most: Buffer.alloc(100_000), array: Uint8Array.of(1), little: Buffer.from('abc') });
    const { most, array, little } = decodeValue(message, true) as Record<string, Buffer>;
    expect([most, array, little].map((bytes) => bytes?.buffer === message.buffer)).toEqual([true, false, false]);
    const own = encodeValue(Buffer.alloc(100_000, 'a'));
    const kept = decodeValue(own);
    own.fill(0);
    expect(kept).toEqual(Buffer.alloc(100_000, 'a'));
  });

  it.each([
    ['a regular expression', /a\/b[\d]+/giu],
    ['an array buffer', Uint8Array.of(1, 2, 3).buffer],
    ['a data view', new DataView(Uint8Array.of(1, 2, 3).buffer)],
    ['a part of a typed array', new Uint16Array([1, 2, 3, 4]).subarray(1, 3)],
    ['a long text that begins with a byte order mark', `\ufeff${'x'.repeat(100)}`],
    ['a text of lone surrogates', '\ud800 and \udfff'],
    ['a key of lone surrogates', { '\ud800': 1 }],
    ['an object of 70 000 keys', Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]))],
    ['big integers that need more than 64 bits', [2n ** 200n, -(2n ** 64n), 0n]],
  ])('survive: %s', (_, value) => {
    expect(isDeepStrictEqual(roundTrip(value), value)).toBe(true);
  });

  it('keep an invalid date', () => {
    expect((roundTrip(new Date(Number.NaN)) as Date).getTime()).toBeNaN();
  });

  it('keep minus zero, also deep inside', () => {
    expect(Object.is((roundTrip({ a: [-0] }) as { a: number[] }).a[0], -0)).toBe(true);
  });

  it('keep cycles and shared references, in every kind of container', () => {
    const shared = { name: 'shared' };
    const map = new Map<unknown, unknown>([['shared', shared]]);
    const set = new Set<unknown>([shared, map]);
    const root: Record<string, unknown> = { map, set, list: [shared, shared], when: new Date(5) };
    root['self'] = root;
    root['sameDate'] = root['when'];
    map.set('root', root);
    set.add(set);
    const copy = roundTrip(root) as typeof root;
    const copyOfShared = (copy['list'] as unknown[])[0];
    expect(copy['self']).toBe(copy);
    expect((copy['list'] as unknown[])[1]).toBe(copyOfShared);
    expect((copy['map'] as typeof map).get('shared')).toBe(copyOfShared);
    expect((copy['map'] as typeof map).get('root')).toBe(copy);
    expect((copy['set'] as typeof set).has(copyOfShared)).toBe(true);
    expect((copy['set'] as typeof set).has(copy['set'])).toBe(true);
    expect(copy['sameDate']).toBe(copy['when']);
  });

  it('keep shared references beyond the first few objects', () => {
    const items = Array.from({ length: 100 }, (_, i) => ({ i }));
    const copy = roundTrip([...items, items[90], items[1]]) as unknown[];
    expect(copy[100]).toBe(copy[90]);
    expect(copy[101]).toBe(copy[1]);
  });

  it('keep what an error is: class, name, message, stack, cause and fields', () => {
    const error = Object.assign(new TypeError('bad', { cause: new RangeError('deeper') }), {
      code: 'E_BAD',
      at: new Date(3),
      log: () => 1,
    });
    error.name = 'BadThing';
    const copy = roundTrip(error) as TypeError & { code: string; at: Date };
    expect(copy).toBeInstanceOf(Error);
    expect([copy.name, copy.message, copy.stack, copy.code]).toEqual(['BadThing', 'bad', error.stack, 'E_BAD']);
    expect(copy.at).toEqual(new Date(3));
    expect(copy.cause).toBeInstanceOf(RangeError);
    expect('log' in copy).toBe(false);
    expect(Object.keys(copy).sort()).toEqual(['at', 'code']);
  });

  it('keep the code of a HoldfastError and the errors of an AggregateError', () => {
    const inner = new HoldfastError('InstanceLost', 'gone', { details: { id: 'x' }, outcome: 'unknown' });
    const copy = roundTrip(new AggregateError([inner], 'several')) as AggregateError;
    expect(copy).toBeInstanceOf(AggregateError);
    expect(isHoldfastError(copy.errors[0], 'InstanceLost')).toBe(true);
    expect(copy.errors[0]).toMatchObject({ outcome: 'unknown', retryable: false, details: { id: 'x' } });
  });

  it('keep numbering right when an error leaves a field behind', () => {
    const shared = { a: 1 };
    const error = Object.assign(new Error('x'), { dropped: { deep: [shared, () => 1] }, kept: shared });
    const [copy, same] = roundTrip([error, shared]) as [Error & { kept: unknown }, unknown];
    expect(copy.kept).toEqual({ a: 1 });
    expect(copy.kept).toBe(same);
  });
});

describe('values that cannot travel', () => {
  class Account {}
  it.each([
    [[{ user: { onClick: () => 1 } }], 'args[0].user.onClick'],
    [[1, [Symbol('s')]], 'args[1][0]'],
    [[{ 'first name': new Account() }], 'args[0]["first name"]'],
    [[new Map([['k', new Account()]])], 'args[0].get("k")'],
    [[new Set([new WeakMap()])], 'args[0][0]'],
    [[new URL('http://a/')], 'args[0]'],
    [[Promise.resolve()], 'args[0]'],
    [[new (class Mine extends Map {})()], 'args[0]'],
    [[{ a: JSON.parse('{"__proto__": 1}') }], 'args[0].a'],
    [[{ onClick: Array.isArray }], 'args[0].onClick'],
  ])('are refused with their path: %o', (args, path) => {
    const error = refusalOf(() => encodeArgs(args));
    expect(error.code).toBe('NotSerializable');
    expect(error.details['path']).toBe(path);
    expect(error.message).toContain(path);
  });

  it('are refused where a getter throws', () => {
    const value = {
      get broken(): number {
        throw new Error('no');
      },
    };
    expect(refusalOf(() => encodeValue(value)).code).toBe('NotSerializable');
  });

  it('are refused beyond 1 000 levels, and kept up to there', () => {
    const nest = (levels: number) => {
      let value: unknown = 1;
      for (let i = 0; i < levels; i += 1) value = i % 2 ? [value] : { a: value };
      return value;
    };
    expect(isDeepStrictEqual(roundTrip(nest(1_000)), nest(1_000))).toBe(true);
    expect(isDeepStrictEqual(roundTrip([new Date(1), nest(999)]), [new Date(1), nest(999)])).toBe(true);
    expect(refusalOf(() => encodeValue(nest(1_001))).message).toContain('deeper than 1000 levels');
    expect(refusalOf(() => encodeValue(nest(200_000))).code).toBe('NotSerializable');
  });

  it('are refused above the size that may travel', () => {
    const error = refusalOf(() => encodeValue('x'.repeat(1_000), 'result', 100));
    expect(error).toMatchObject({ code: 'PayloadTooLarge', details: { maxBytes: 100 } });
  });
});

describe('hostile bytes', () => {
  const decodes = (bytes: Uint8Array) => {
    try {
      decodeValue(bytes);
      return true;
    } catch (error) {
      return isHoldfastError(error, 'InvalidArgument');
    }
  };

  it('end in a value or in InvalidArgument', () => {
    const random = fc.uint8Array({ maxLength: 200 });
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 7), random, (flag, bytes) =>
        decodes(Buffer.concat([Buffer.of(flag), bytes])),
      ),
      { numRuns: 5_000 },
    );
  });

  it('end so when they are true bytes, cut or altered', () => {
    fc.assert(
      fc.property(anything, fc.nat(), fc.nat(255), (value, at, byte) => {
        const bytes = Buffer.from(encodeValue(value));
        const position = at % bytes.length;
        const altered = Buffer.from(bytes);
        altered[position] = byte;
        return decodes(bytes.subarray(0, position)) && decodes(altered);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([0x91, 0x81])('are refused when they nest 200 000 levels (0x%x)', (token) => {
    const level = token === 0x81 ? [0x81, 0xa1, 0x61] : [0x91];
    const bytes = Buffer.concat([
      Buffer.of(0),
      Buffer.from(Array.from({ length: 200_000 }, () => level).flat()),
      Buffer.of(1),
    ]);
    for (const flag of [0, 1]) {
      bytes[0] = flag;
      expect(refusalOf(() => decodeValue(bytes))).toMatchObject({
        code: 'InvalidArgument',
        message: expect.stringContaining('deeper'),
      });
    }
  });

  it('are refused when a header promises more than there is', () => {
    for (const bytes of [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdf, 0x7f, 0xff, 0xff, 0xff],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0, 0, 0],
    ]) {
      expect(refusalOf(() => decodeValue(Buffer.from([0, ...bytes]))).code).toBe('InvalidArgument');
    }
  });

  it('that hold plain binary are copied out of the message', () => {
    const bytes = Buffer.concat([Buffer.of(0), new Packr({ useRecords: false }).pack([Buffer.from('abc')])]);
    const [copy] = decodeValue(bytes) as [Buffer];
    bytes.fill(0);
    expect(copy).toEqual(Buffer.from('abc'));
  });

  it('are refused when they hold extensions of msgpackr', () => {
    const rich = new Packr({ structuredClone: true, moreTypes: true, useRecords: true });
    for (const value of [new Date(), /x/, new Set([1]), { a: 1 }, 2n ** 70n]) {
      const bytes = Buffer.concat([Buffer.of(0), rich.pack(value)]);
      expect(refusalOf(() => decodeValue(bytes)).code).toBe('InvalidArgument');
    }
  });

  it('cannot reach a prototype', () => {
    const packr = new Packr({ useRecords: false });
    const plain = Buffer.concat([Buffer.of(0), packr.pack(JSON.parse('{"__proto__":{"polluted":1}}'))]);
    const tagged = Buffer.concat([Buffer.of(1), packr.pack([11, '__proto__', { polluted: 1 }])]);
    const escaped = Buffer.concat([
      Buffer.of(1),
      packr.pack([11, [10, Buffer.from('__proto__', 'utf16le')], { polluted: 1 }]),
    ]);
    const field = Buffer.concat([
      Buffer.of(1),
      packr.pack([9, 'Error', 'm', null, false, null, JSON.parse('{"__proto__":{"polluted":1}}')]),
    ]);
    for (const bytes of [plain, tagged, escaped, field])
      expect(refusalOf(() => decodeValue(bytes)).code).toBe('InvalidArgument');
    const copy = roundTrip({ constructor: { prototype: { polluted: 1 } } }) as object;
    expect(Object.hasOwn(copy, 'constructor')).toBe(true);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });
});

describe('what is encoded for now', () => {
  const values = [null, 'x', { a: [1, -0] }, Buffer.alloc(40_000, 'b'), Buffer.alloc(65_536, 'c'), 'é'.repeat(20_000)];
  const long = [
    'x'.repeat(80_000),
    'y'.repeat(200_000),
    Buffer.alloc(70_000, 'd'),
    [Buffer.alloc(60_000), 'z'.repeat(30_000)],
    Array.from({ length: 90 }, (_, i) => `${i % 10}`.repeat(1_000)),
  ];

  it('is the same as what is encoded for long', () => {
    for (const value of [...values, ...long]) {
      const kept = Buffer.from(encodeValue(value));
      expect(kept.equals(encodeForNow(value, 'value'))).toBe(true);
    }
  });

  it('leaves alone what others encoded, and what is longer than a frame', () => {
    const others = [encodeValue('mine'), encodeBody({ a: 'body' }), encodeValue(Buffer.alloc(100, 'e'))];
    const kept = [...others, ...long.map((value) => encodeForNow(value, 'value'))];
    encodeForNow('now', 'value');
    kept.push(encodeBody({ b: 'behind' }), encodeValue('behind'));
    encodeForNow('now', 'value');
    kept.push(Buffer.from(hashArgs(encodeValue(['behind']))), encodeValue('behind it'));
    const before = kept.map((bytes) => Buffer.from(bytes));
    for (const value of values) encodeForNow(value, 'value');
    expect(kept.every((bytes, i) => before[i]?.equals(bytes))).toBe(true);
  });
});

describe('hashes and references', () => {
  it('are equal for equal arguments whatever the order of their fields', () => {
    const one = hashArgs(encodeArgs([{ a: 1, b: { c: [2], d: 3 } }, 'x']));
    expect(hashArgs(encodeArgs([{ b: { d: 3, c: [2] }, a: 1 }, 'x']))).toBe(one);
    expect(hashArgs(encodeArgs([{ a: 1, b: { c: [2], d: 4 } }, 'x']))).not.toBe(one);
    expect(hashArgs(encodeArgs([['x', { a: 1 }]]))).not.toBe(hashArgs(encodeArgs([[{ a: 1 }, 'x']])));
    const when = new Date(1);
    expect(hashArgs(encodeArgs([{ when, a: 1 }]))).toBe(hashArgs(encodeArgs([{ a: 1, when }])));
  });

  it('tell a reference from a value', () => {
    expect(readReference(encodeReference('args/abc'))).toBe('args/abc');
    expect(readReference(encodeArgs(['args/abc']))).toBeNull();
    expect(refusalOf(() => decodeValue(encodeReference('args/abc'))).code).toBe('InvalidArgument');
  });
});
