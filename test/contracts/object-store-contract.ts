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

    test('what was stored is read back, byte for byte', async () => {
      const { store } = made;
      for (const size of [0, 1, 100_000]) {
        const [key, bytes] = [`bundles/${randomUUID()}`, randomBytes(size)];
        await store.put(key, bytes);
        expect(Buffer.compare((await store.get(key)) ?? Buffer.alloc(1), bytes)).toBe(0);
        expect(await store.has(key)).toBe(true);
      }
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
