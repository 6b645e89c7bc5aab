import { createHash, randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { WantedChunk } from '../../../src/runtime/mounts/content/chunk-cache.js';
import { ChunkThreads } from '../../../src/runtime/mounts/content/chunk-threads.js';
import { FetchRoom } from '../../../src/runtime/mounts/content/fetch-room.js';
import { ReadAhead } from '../../../src/runtime/mounts/content/read-ahead.js';
import { isolatedTest } from '../../isolated-test.js';
import { MountWorld, run } from './mount-world.js';

const mebibyte = 1_048_576;
const chunkBytes = 8 * mebibyte;
const entry = new URL('../../../dist/runtime/mounts/content/chunk-thread-main.js', import.meta.url);

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-chunks-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function hashed(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('threads keep what has its hash, nothing else, and say what the disk says', async () => {
  const folder = temporaryFolder();
  const threads = new ChunkThreads(entry);
  onTestFinished(() => threads.end());
  const right = Array.from({ length: 20 }, (_, i) => Buffer.alloc(10_000 + i, i));
  const path = (name: number | string): string => join(folder, String(name));
  const kept = right.map((bytes, i) =>
    threads.keep({ hash: hashed(bytes), bytes: Uint8Array.from(bytes), path: path(i) }),
  );
  // In memory that others use, too: it stays theirs.
  const shared = Buffer.from('in the pool of all buffers');
  const keptShared = threads.keep({ hash: hashed(shared), bytes: shared, path: path('shared') });
  const wrong = threads.keep({ hash: hashed(shared), bytes: Buffer.alloc(70_000, 1), path: path('wrong') });
  const nowhere = threads.keep({ hash: hashed(shared), bytes: shared, path: path('none/where') });
  await expect(nowhere).rejects.toMatchObject({ code: 'ENOENT' });
  expect(await Promise.all(kept)).toEqual(right.map(({ length }) => length));
  for (const [i, bytes] of right.entries()) expect(readFileSync(path(i)).equals(bytes)).toBe(true);
  expect(await keptShared).toBe(shared.length);
  expect(shared.toString()).toBe('in the pool of all buffers');
  expect(readFileSync(path('shared')).equals(shared)).toBe(true);
  expect(await wrong).toBe(null);
  expect(existsSync(path('wrong'))).toBe(false);
});

test('a chunk that is a file of the same disk is linked where its bytes are right, and nothing is left where not', async () => {
  const folder = temporaryFolder();
  const threads = new ChunkThreads(entry);
  onTestFinished(() => threads.end());
  const bytes = Buffer.alloc(3 * mebibyte + 1, 'stored');
  const [from, path] = [join(folder, 'stored'), join(folder, 'kept')];
  writeFileSync(from, bytes);
  expect(await threads.keep({ hash: hashed(bytes), from, path })).toBe(bytes.length);
  expect(statSync(path).ino).toBe(statSync(from).ino);
  // It stays when the object is gone.
  rmSync(from);
  expect(readFileSync(path).equals(bytes)).toBe(true);
  rmSync(path);
  expect(await threads.keep({ hash: hashed(bytes), from, path })).toBe(null);
  writeFileSync(from, bytes.fill('damaged'));
  expect(await threads.keep({ hash: hashed(Buffer.from('stored')), from, path })).toBe(null);
  expect(await threads.keep({ hash: hashed(bytes), from: '/proc/self/status', path })).toBe(null);
  expect(existsSync(path)).toBe(false);
});

test('what a thread that died has left in the place of a chunk is not written into: it may be a stored object', async () => {
  const folder = temporaryFolder();
  const threads = new ChunkThreads(entry);
  onTestFinished(() => threads.end());
  const bytes = Buffer.alloc(mebibyte, 'stored');
  const [from, path] = [join(folder, 'stored'), join(folder, 'kept')];
  writeFileSync(from, bytes);
  linkSync(from, path);
  expect(await threads.keep({ hash: hashed(bytes), from, path })).toBe(bytes.length);
  const other = Buffer.alloc(mebibyte, 'other');
  expect(await threads.keep({ hash: hashed(other), bytes: Uint8Array.from(other), path })).toBe(other.length);
  expect(readFileSync(path).equals(other)).toBe(true);
  expect(readFileSync(from).equals(bytes)).toBe(true);
});

test('threads hash what was written here, tell what is all zeros, and say what the disk says', async () => {
  const folder = temporaryFolder();
  const threads = new ChunkThreads(entry);
  onTestFinished(() => threads.end());
  const contents = [randomBytes(3 * mebibyte + 1), Buffer.alloc(2 * mebibyte + 5, 1), Buffer.alloc(2 * mebibyte)];
  // Not all of it is zeros, only what is looked at first.
  contents.push(Buffer.concat([Buffer.alloc(2 * mebibyte), Buffer.of(1)]));
  const paths = contents.map((bytes, i) => {
    const path = join(folder, String(i));
    writeFileSync(path, bytes);
    return path;
  });
  const hashes = await Promise.all(paths.map((path) => threads.hash(path)));
  expect(hashes).toEqual(contents.map((bytes, i) => (i === 2 ? null : hashed(bytes))));
  await expect(threads.hash(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await threads.end();
  await expect(threads.hash(paths[0] ?? '')).rejects.toMatchObject({ code: 'Unavailable' });
});

test('who waits for a thread that ends is told', async () => {
  const folder = temporaryFolder();
  const threads = new ChunkThreads(entry);
  const bytes = Buffer.alloc(chunkBytes, 1);
  const keep = () => threads.keep({ hash: 'another', bytes: Uint8Array.from(bytes), path: join(folder, 'chunk') });
  const waiting = Promise.allSettled([keep(), keep(), keep(), keep()]);
  await threads.end();
  for (const one of await waiting) {
    if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'Unavailable' });
    else expect(one.value).toBe(null);
  }
  await expect(keep()).rejects.toMatchObject({ code: 'Unavailable' });
});

test('a thread that cannot start fails what waits for it', async () => {
  const threads = new ChunkThreads(new URL('none.js', entry));
  onTestFinished(() => threads.end());
  const keep = () => threads.keep({ hash: 'any', bytes: Buffer.alloc(1), path: '/nowhere' });
  await expect(keep()).rejects.toMatchObject({ code: 'Unavailable' });
  await expect(keep()).rejects.toMatchObject({ code: 'Unavailable' });
});

/** What is fetched ahead when a file of that many chunks is read so. */
function fetchedAhead(
  chunks: number,
  reads: readonly { readonly offset: number; readonly length: number }[],
): string[] {
  const fetched = new Set<string>();
  const cache = {
    aheadBytes: 4 * chunkBytes,
    pathOf: (hash: string) => (fetched.has(hash) ? hash : null),
    adopt: () => undefined,
    fetch: () => Promise.resolve(),
    fetchAhead: ({ hash }: WantedChunk) => void fetched.add(hash),
  };
  const reader = new ReadAhead(cache, (index) => (index < chunks ? { hash: `c${index}`, bytes: chunkBytes } : null));
  for (const { offset, length } of reads) {
    const end = offset + length;
    reader.read({ offset, end, index: Math.floor((end - 1) / chunkBytes) });
  }
  return [...fetched];
}

test('a reader who goes on has up to four chunks fetched before him', () => {
  const reads = (chunks: number) =>
    Array.from({ length: chunks * 8 }, (_, i) => ({ offset: i * mebibyte, length: mebibyte }));
  expect(fetchedAhead(9, reads(1))).toEqual(['c1']);
  expect(fetchedAhead(9, reads(2))).toEqual(['c1', 'c2', 'c3']);
  expect(fetchedAhead(9, reads(3))).toEqual(['c1', 'c2', 'c3', 'c4', 'c5', 'c6']);
  expect(fetchedAhead(9, reads(9))).toEqual(['c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8']);
  // In the order in which the kernel may ask for the parts of its window.
  const swapped = reads(2).map((_, i, all) => all[i ^ 1] as { offset: number; length: number });
  expect(fetchedAhead(9, swapped)).toEqual(['c1', 'c2', 'c3']);
});

test('a reader who jumps has nothing fetched before him', () => {
  const offsets = [5, 2, 7, 0, 4, 6].map((chunk) => ({ offset: chunk * chunkBytes + mebibyte, length: 4_096 }));
  expect(fetchedAhead(9, offsets)).toEqual([]);
});

test('chunks on their way stay within their bound, in the order of coming, and each gets in', async () => {
  await fc.assert(
    // Of short ones the most are together, of long ones the fewest.
    fc.asyncProperty(fc.array(fc.oneof(fc.constant(1), fc.nat(200)), { maxLength: 60 }), async (sizes) => {
      const room = new FetchRoom();
      const entered: number[] = [];
      const beyond: (readonly [inside: number, megabytes: number])[] = [];
      let [inside, bytes] = [0, 0];
      const all = sizes.map((megabytes, i) =>
        room.within(megabytes * mebibyte, async () => {
          entered.push(i);
          inside += 1;
          bytes += megabytes;
          if (inside > 1 && (inside > 12 || bytes > 128)) beyond.push([inside, bytes]);
          for (let turn = 0; turn <= i % 5; turn += 1) await Promise.resolve();
          inside -= 1;
          bytes -= megabytes;
          if (i % 7 === 0) throw new Error('no such chunk');
        }),
      );
      await Promise.allSettled(all);
      expect(beyond).toEqual([]);
      expect(entered).toEqual(sizes.map((_, i) => i));
      expect(room.has(200 * mebibyte)).toBe(true);
    }),
    { examples: [[Array.from({ length: 40 }, () => 1)]] },
  );
});

isolatedTest(
  'a chunk that is damaged in the object store is an I/O error, and is read when it has been mended',
  async () => {
    await using world = await MountWorld.start();
    const volume = await world.volumes.volume();
    await world.volumes.commit(volume, { file: Buffer.alloc(20 * mebibyte, 'abc') });
    const [key = ''] = await world.volumes.keys();
    const stored = (await world.volumes.objects.get(key)) as Uint8Array;
    await world.volumes.objects.put(key, Buffer.alloc(stored.length, 'abd'));
    const { folder } = await world.mount(volume);
    const read = () => run(folder, 'cat file | md5sum');
    await expect(run(folder, 'cat file')).rejects.toThrow('Input/output error');
    await world.volumes.objects.put(key, stored);
    expect(await read()).toBe(await run('/', `head -c ${20 * mebibyte} < <(yes abc | tr -d '\\n') | md5sum`));
  },
);
