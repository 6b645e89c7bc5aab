import { link, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createDiskObjectStore } from '../../src/adapters/disk/disk-object-store.js';
import { describeObjectStore } from '../contracts/object-store-contract.js';

describeObjectStore('an object store in a folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-objects-'));
  return {
    store: createDiskObjectStore({ folder: join(folder, 'made', 'on', 'demand') }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
});

describe('the folder of an object store', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-objects-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('nothing unfinished stays behind, also where an object cannot be stored', async () => {
    const store = createDiskObjectStore({ folder });
    await store.put('bundles/a', new Uint8Array(10));
    await expect(store.put('bundles/a/b', new Uint8Array(10))).rejects.toMatchObject({
      code: 'Unavailable',
      outcome: 'unknown',
      message: expect.stringContaining(folder),
    });
    expect(await readdir(join(folder, '.unfinished'))).toEqual([]);
    expect(await readdir(join(folder, 'bundles'))).toEqual(['a']);
  });

  test('an object is a file that never changes: who has a link to it keeps what it was', async () => {
    const store = createDiskObjectStore({ folder });
    await store.put('chunks/a', Buffer.from('first'));
    const linked = join(folder, 'link');
    await link(store.pathOf?.('chunks/a') ?? '', linked);
    await store.put('chunks/a', Buffer.from('second'));
    expect(await readFile(linked, 'utf8')).toBe('first');
    await store.delete('chunks/a');
    expect(await readFile(linked, 'utf8')).toBe('first');
    expect(() => store.pathOf?.('../a')).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  });

  test.each(['/dev/null/objects', '/proc/nowhere/objects'])('a folder that cannot be made is named: %s', (place) => {
    expect(() => createDiskObjectStore({ folder: place })).toThrow(
      expect.objectContaining({ code: 'Unavailable', message: expect.stringContaining(place) }),
    );
  });
});
