import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from '../../../src/common/errors.js';
import { chunkAt, chunkCount, chunkNumber, maxFileBytes } from '../../../src/common/volumes/chunk-layout.js';
import { decodeChunkList, encodeChunkList } from '../../../src/common/volumes/chunk-list.js';
import type { Blob, Entry } from '../../../src/common/volumes/entry.js';
import { HashMarks } from '../../../src/common/volumes/hash-marks.js';
import {
  decodeNode,
  encodeNode,
  type StoredEntry,
  storedEntry,
  wrongName,
} from '../../../src/common/volumes/node-codec.js';

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const blob: fc.Arbitrary<Blob> = fc.oneof(
  hash.map((text) => ({ hash: text })),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => ({ inline: Buffer.from(bytes) })),
);
const count = fc.maxSafeNat();
const attributes = {
  mode: fc.nat(0o7777),
  mtimeSeconds: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  mtimeNanos: fc.nat(999_999_999),
};
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    type: fc.constant('symlink' as const),
    ...attributes,
    target: fc.string({ unit: 'grapheme', maxLength: 50 }),
  }),
  fc.record({ type: fc.constant('directory' as const), ...attributes, node: blob, files: count, bytes: count }),
  fc.record({ ...attributes, bytes: fc.uint8Array({ maxLength: 100 }) }).map(({ bytes, ...rest }) => ({
    type: 'file' as const,
    ...rest,
    size: bytes.length,
    content: { kind: 'inline' as const, bytes: Buffer.from(bytes) },
  })),
  fc.record({ ...attributes, size: fc.nat(2 ** 31 - 1), list: blob }).map(({ size, list, ...rest }) => ({
    type: 'file' as const,
    ...rest,
    size,
    content: { kind: 'chunks' as const, storedBytes: Math.floor(size / 2), list },
  })),
);
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => wrongName(text) === null);
const leaf = fc.array(fc.tuple(name, entry), { maxLength: 20 }).map((entries) => ({
  kind: 'leaf' as const,
  entries: new Map(entries.map(([key, value]) => [key, storedEntry(key, value)])),
}));

const damage = fc.record({ at: fc.nat(), change: fc.integer({ min: 1, max: 255 }), isCut: fc.boolean() });

describe('a directory in bytes', () => {
  it('is read as it was written, whatever the order in which its entries came', () => {
    fc.assert(
      fc.property(leaf, ({ entries }) => {
        const bytes = encodeNode({ kind: 'leaf', entries });
        const reversed = encodeNode({ kind: 'leaf', entries: new Map([...entries].reverse()) });
        expect(reversed.equals(bytes)).toBe(true);
        const read = decodeNode(bytes);
        if (read.kind !== 'leaf') throw new Error('not a leaf');
        const plain = (of: ReadonlyMap<string, StoredEntry>) =>
          new Map([...of].map(([key, value]) => [key, value.entry]));
        expect(plain(read.entries)).toEqual(plain(entries));
        expect(encodeNode(read).equals(bytes)).toBe(true);
      }),
    );
  });

  it('that was changed or cut is refused, or is read as another directory with those very bytes', () => {
    fc.assert(
      fc.property(leaf, damage, (node, { at, change, isCut }) => {
        const bytes = Buffer.from(encodeNode(node));
        const place = at % bytes.length;
        bytes[place] = (bytes[place] as number) ^ change;
        const hostile = isCut ? bytes.subarray(0, place) : bytes;
        try {
          expect(encodeNode(decodeNode(hostile)).equals(hostile)).toBe(true);
        } catch (error) {
          if (!isHoldfastError(error, 'Internal')) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('has no entry that leaves it or is no file name', () => {
    for (const wrong of ['', '.', '..', 'a/b', 'a\0b', '\ud800', 'ä'.repeat(128), 'x'.repeat(256)])
      expect(wrongName(wrong), JSON.stringify(wrong)).not.toBeNull();
    for (const good of ['a', '...', ' ', '\n', 'ä'.repeat(127), 'x'.repeat(255), '😀', '-rf', '.git'])
      expect(wrongName(good), JSON.stringify(good)).toBeNull();
    const stored = storedEntry('..', { type: 'symlink', mode: 0, mtimeSeconds: 0, mtimeNanos: 0, target: '/etc' });
    const bytes = encodeNode({ kind: 'leaf', entries: new Map([['..', stored]]) });
    expect(() => decodeNode(bytes)).toThrow('whose name is none');
  });
});

describe('a list of chunks', () => {
  it('is read as it was written, and a hole of any size is a few bytes', () => {
    const chunk = fc.oneof({ weight: 3, arbitrary: hash }, { weight: 2, arbitrary: fc.constant(null) });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 50 }), (list) => {
        const bytes = encodeChunkList(list);
        expect(decodeChunkList(bytes, list.length)).toEqual(list);
        expect(() => decodeChunkList(bytes, list.length + 1)).toThrow(expect.objectContaining({ code: 'Internal' }));
      }),
    );
    expect(encodeChunkList(Array.from({ length: 60_000 }, () => null)).length).toBeLessThan(8);
  });
});

describe('the chunks of a file', () => {
  const size = fc.oneof(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.integer({ min: 1, max: maxFileBytes }));

  it('cover it without gap or overlap, and each byte is in one', () => {
    fc.assert(
      fc.property(size, fc.double({ min: 0, max: 1, noNaN: true }), (bytes, where) => {
        const chunks = chunkCount(bytes);
        const offset = Math.min(bytes - 1, Math.floor(bytes * where));
        const chunk = chunkAt(offset, bytes);
        expect(chunk).toEqual(chunkNumber(chunk.index, bytes));
        expect(chunk.offset).toBeLessThanOrEqual(offset);
        expect(chunk.offset + chunk.length).toBeGreaterThan(offset);
        const last = chunkNumber(chunks - 1, bytes);
        expect(last.offset + last.length).toBe(bytes);
        if (chunk.index > 0) {
          const before = chunkNumber(chunk.index - 1, bytes);
          expect(before.offset + before.length).toBe(chunk.offset);
        }
      }),
    );
  });

  it('stay where they are when it grows, and are larger where it is large', () => {
    const mebibyte = 1_048_576;
    expect(chunkNumber(3, 100 * mebibyte)).toEqual({ index: 3, offset: 24 * mebibyte, length: 8 * mebibyte });
    expect(chunkNumber(3, 10_240 * mebibyte)).toEqual({ index: 3, offset: 24 * mebibyte, length: 8 * mebibyte });
    expect(chunkAt(2_048 * mebibyte, 10_240 * mebibyte).length).toBe(32 * mebibyte);
    expect(chunkAt(100_000 * mebibyte, 1_000_000 * mebibyte).length).toBe(64 * mebibyte);
    expect(chunkCount(10_240 * mebibyte)).toBe(128 + 288);
    expect(chunkCount(0)).toBe(0);
  });
});

describe('marks', () => {
  it('are of what was marked and of nothing else, however many', () => {
    const marks = new HashMarks();
    const of = (n: number) => createHash('sha256').update(String(n)).digest('hex');
    for (let n = 0; n < 20_000; n++) expect(marks.add(of(n))).toBe(true);
    for (let n = 0; n < 20_000; n++) expect(marks.add(of(n))).toBe(false);
    for (let n = 20_000; n < 30_000; n++) expect(marks.has(of(n))).toBe(false);
    expect(marks.add('0'.repeat(64))).toBe(true);
    expect(marks.has('0'.repeat(64))).toBe(true);
    expect(marks.size).toBe(20_001);
  });
});
