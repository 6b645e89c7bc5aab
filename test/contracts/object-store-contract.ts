import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../src/common/ports/object-store.js';

export interface ObjectStoreUnderTest extends AsyncDisposable {
  readonly store: ObjectStore;
}

/** What every object store must do. */
export function describeObjectStore(name: string, make: () => Promise<ObjectStoreUnderTest>): void {
  describe(name, () => {
    let made: ObjectStoreUnderTest;
    beforeAll(async () => {
      made = await make();
    });
    afterAll(() => made?.[Symbol.asyncDispose]());

    test('what was stored is read back, byte for byte, and by its last version', async () => {
      const { store } = made;
      for (const size of [0, 1, 100_000, 40_000_000]) {
        const [key, bytes] = [`bundles/${randomUUID()}`, randomBytes(size)];
        await store.put(key, bytes);
        expect(Buffer.compare((await store.get(key)) ?? Buffer.alloc(1), bytes)).toBe(0);
        expect(await store.has(key)).toBe(true);
        await store.put(key, bytes.subarray(1));
        expect((await store.get(key))?.length).toBe(Math.max(0, size - 1));
      }
    });

    test('parts of an object are read, up to its end and no further', async () => {
      const { store } = made;
      const bytes = randomBytes(10_000);
      await store.put('parts/object', bytes);
      const part = async (offset: number, length: number) =>
        Buffer.from((await store.getRange('parts/object', offset, length)) ?? 'none');
      expect(await part(0, 100)).toEqual(bytes.subarray(0, 100));
      expect(await part(9_000, 5_000)).toEqual(bytes.subarray(9_000));
      expect(await part(20_000, 10)).toEqual(Buffer.alloc(0));
      expect(await part(5, 0)).toEqual(Buffer.alloc(0));
      expect(await store.getRange('parts/none', 0, 10)).toBeNull();
      expect(await store.getRange('parts', 0, 10)).toBeNull();
    });

    test('a key that was never stored has nothing, and is deleted in vain', async () => {
      const { store } = made;
      await store.put('there/object', randomBytes(1));
      for (const key of [`bundles/${randomUUID()}`, 'there', 'there/object/below', 'nowhere/at/all']) {
        expect(await store.get(key)).toBeNull();
        expect(await store.has(key)).toBe(false);
        await store.delete(key);
      }
      expect(await store.has('there/object')).toBe(true);
    });

    test('a deleted object is gone', async () => {
      const { store } = made;
      await store.put('gone', randomBytes(5));
      await store.delete('gone');
      expect(await store.get('gone')).toBeNull();
      expect(await store.has('gone')).toBe(false);
    });

    test('of several that store one key at once every reader sees one whole object', async () => {
      const { store } = made;
      const versions = Array.from({ length: 8 }, (_, i) => Buffer.alloc(300_000, i));
      const isWhole = (bytes: Uint8Array | null): boolean =>
        bytes === null || versions.some((version) => Buffer.compare(version, bytes) === 0);
      const writes = Promise.all(versions.map((version) => store.put('raced', version)));
      let isDone = false;
      const reads = (async () => {
        while (!isDone) expect(isWhole(await store.get('raced'))).toBe(true);
      })();
      await writes;
      isDone = true;
      await reads;
      expect(isWhole(await store.get('raced'))).toBe(true);
    });

    test('a folder is listed whole, at any depth, and nothing beside it', async () => {
      const { store } = made;
      const keys = Array.from({ length: 40 }, (_, i) => `listed/${i % 7}/${i}`);
      await Promise.all([...keys, 'listed-not/1', 'listedtoo'].map((key) => store.put(key, randomBytes(1))));
      await store.delete('listed/3/3');
      const found: string[] = [];
      for await (const page of store.list('listed')) found.push(...page);
      expect(found.sort()).toEqual(keys.filter((key) => key !== 'listed/3/3').sort());
      for await (const page of store.list('listed/nowhere')) expect(page).toEqual([]);
    });

    test('a key that is no plain path is refused by every operation', async () => {
      const { store } = made;
      const wrong = [
        '',
        '/etc/passwd',
        '../out',
        'a/../../out',
        'a/./b',
        'a//b',
        'a/',
        '.hidden',
        'a/.b',
        'a\\b',
        'a b',
        'ä',
        'a\0b',
      ];
      for (const key of [...wrong, 'x'.repeat(300), 'x/'.repeat(600)]) {
        for (const operation of [store.put(key, randomBytes(1)), store.get(key), store.has(key), store.delete(key)])
          await expect(operation).rejects.toMatchObject({ code: 'InvalidArgument' });
      }
    });
  });
}
