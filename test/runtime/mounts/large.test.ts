import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { VolumeRecord } from '../../../src/common/ports/volume-store.js';
import { changeDirectory } from '../../../src/common/volumes/change-directory.js';
import { chunkCount, chunkNumber } from '../../../src/common/volumes/chunk-layout.js';
import { commitVolume, type TreeBuilder } from '../../../src/common/volumes/commit.js';
import { storeChunks } from '../../../src/common/volumes/content.js';
import type { Entry, Hash } from '../../../src/common/volumes/entry.js';
import { emptyDirectory } from '../../../src/common/volumes/tree.js';
import { isolatedTest } from '../../isolated-test.js';
import { MountWorld, run } from './mount-world.js';

const mebibyte = 1_048_576;
const gibibyte = 1_024 * mebibyte;
const attributes = { mode: 0o644, mtimeSeconds: 1, mtimeNanos: 0 };
const ask = { message: '', onConflict: 'fail' } as const;

async function volumeOf(
  { volumes }: MountWorld,
  entries: (builder: TreeBuilder) => Promise<Map<string, Entry>>,
): Promise<VolumeRecord> {
  const volume = await volumes.volume();
  await commitVolume(
    volumes.parts(),
    { volume, base: null },
    { build: async (root, builder) => await changeDirectory(builder, root, await entries(builder)), options: ask },
  );
  return volume;
}

async function storedBytes({ volumes }: MountWorld): Promise<number> {
  const sizes = (await volumes.keys()).map(async (key) => (await volumes.objects.get(key))?.length ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** All chunks of a length are the same object: it is as long, and takes no room to speak of. */
async function fileOf(size: number, chunks: ReadonlyMap<number, Buffer>, { uploads }: TreeBuilder): Promise<Entry> {
  const hashes = new Map<number, Hash>();
  for (const [length, bytes] of chunks) hashes.set(length, await uploads.object(bytes));
  const list = Array.from({ length: chunkCount(size) }, (_, i) => hashes.get(chunkNumber(i, size).length) as Hash);
  return { type: 'file', ...attributes, ...(await storeChunks(uploads, size, list)).stored };
}

isolatedTest(
  'a file of 10 GiB is read, changed, appended to and cut where it is, and a commit sends no more',
  async () => {
    await using world = await MountWorld.start();
    const [small, large] = [randomBytes(8 * mebibyte), randomBytes(32 * mebibyte)];
    const chunks = new Map([small, large].map((bytes) => [bytes.length, bytes]));
    const volume = await volumeOf(world, async (builder) => {
      return new Map([['big', await fileOf(10 * gibibyte, chunks, builder)]]);
    });
    const { folder, commit } = await world.mount(volume);
    const at = (offset: number, length: number): string =>
      `tail -c +${offset + 1} big | head -c ${length} | od -An -tx1 -v`;
    const hex = (bytes: Buffer): string => bytes.toString('hex');
    const read = async (where: string, offset: number, length: number): Promise<string> =>
      (await run(where, at(offset, length))).replaceAll(/\s/g, '');
    expect(await run(folder, 'stat -c %s big')).toBe(`${10 * gibibyte}\n`);
    // Where chunks of 8 MiB end and those of 32 MiB begin, and at its end.
    const border = hex(Buffer.concat([small.subarray(-8), large.subarray(0, 8)]));
    expect(await read(folder, gibibyte - 8, 16)).toBe(border);
    expect(await read(folder, 10 * gibibyte - 8, 100)).toBe(hex(large.subarray(-8)));

    const before = await storedBytes(world);
    await run(
      folder,
      `printf changed | dd of=big bs=1 seek=${5 * gibibyte - 3} conv=notrunc status=none; printf end >> big`,
    );
    await commit(ask);
    // Two chunks of 32 MiB on both sides of 5 GiB, the new last one, and the list of all.
    expect((await storedBytes(world)) - before).toBeLessThan(65 * mebibyte);
    const next = await world.mount(volume);
    expect(await run(next.folder, 'stat -c %s big; tail -c 3 big')).toBe(`${10 * gibibyte + 3}\nend`);
    const changed = Buffer.concat([large.subarray(-6, -3), Buffer.from('changed'), large.subarray(4, 6)]);
    expect(await read(next.folder, 5 * gibibyte - 6, 12)).toBe(hex(changed));
    expect(await read(next.folder, gibibyte - 8, 16)).toBe(border);

    await run(next.folder, `truncate -s ${gibibyte + 5} big; truncate -s ${10 * gibibyte} big`);
    await next.commit(ask);
    expect((await world.volumes.head(volume))?.root.bytes).toBeLessThan(gibibyte + 64 * mebibyte);
    const last = await world.mount(volume);
    expect(await read(last.folder, gibibyte, 10)).toBe(`${hex(large.subarray(0, 5))}0000000000`);
    expect(await read(last.folder, 10 * gibibyte - 2, 10)).toBe('0000');
  },
);

isolatedTest('a volume of a million files is found in, listed and changed, and commits what was changed', async () => {
  await using world = await MountWorld.start();
  const volume = await volumeOf(world, async (builder) => {
    const names = Array.from({ length: 1_000 }, (_, i) => `n${i}`);
    const files = new Map<string, Entry>();
    for (const name of names) {
      const bytes = Buffer.from(name);
      files.set(name, { type: 'file', ...attributes, size: bytes.length, content: { kind: 'inline', bytes } });
    }
    const empty = emptyDirectory({ ...attributes, mode: 0o755 });
    const folder = await changeDirectory(builder, empty, files);
    return new Map(names.map((name) => [name, folder]));
  });
  expect((await world.volumes.head(volume))?.root.files).toBe(1_000_000);
  const { folder, commit } = await world.mount(volume);
  expect(await run(folder, 'ls | wc -l; ls n999 | wc -l; cat n500/n7; test ! -e n500/n1000')).toBe('1000\n1000\nn7');
  const before = await storedBytes(world);
  await run(folder, 'rm -r n1; echo more > n2/n2; mv n3 n4/moved; mkdir n5/n1000; echo new > n5/n1000/new');
  await commit(ask);
  expect((await storedBytes(world)) - before).toBeLessThan(mebibyte);
  expect((await world.volumes.head(volume))?.root.files).toBe(999_001);
  const next = await world.mount(volume);
  expect(await run(next.folder, 'ls | wc -l; cat n2/n2 n5/n1000/new n4/moved/n3; ls n4 | wc -l')).toBe(
    '998\nmore\nnew\nn31001\n',
  );
});
