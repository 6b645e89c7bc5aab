import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import { isHoldfastError } from '../../../src/common/errors.js';
import { ImageStore } from '../../../src/common/images/image-store.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import { Images } from '../../../src/runtime/images/images.js';
import { LayerCache } from '../../../src/runtime/images/layer-cache.js';
import { isolatedTest } from '../../isolated-test.js';
import { openBench } from '../isolation/harness.js';

const bench = await openBench();
let folder = '';
let objects: ObjectStore;
let store: ImageStore;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-images-'));
  objects = createDiskObjectStore({ folder });
  store = storeOf('ann');
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const storeOf = (account: string) => new ImageStore({ objects, account, clock: systemClock, random: systemRandom });

async function codeOf(work: Promise<unknown>): Promise<string> {
  const failed = await work.then(
    () => null,
    (e: unknown) => e,
  );
  return isHoldfastError(failed) ? failed.code : String(failed);
}

const keys = () =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));

/** Packs a fresh sandbox in which a script has run. */
async function layerOf(script: string): Promise<string> {
  const scratch = await bench.scratch();
  await bench.shell(script, { scratch });
  const packing = await bench.backend.pack(scratch, 'layer');
  const layer = await store.putLayer(packing.output);
  await packing.done;
  await scratch.remove();
  return layer;
}

/** A layer with one file in /srv, made without a sandbox. */
async function tarOf(name: string, text: string): Promise<string> {
  const tree = await mkdtemp(join(bench.folder, 'tree-'));
  await mkdir(join(tree, 'srv'));
  await writeFile(join(tree, 'srv', name), text);
  return await store.putLayer(Readable.from([execFileSync('tar', ['-C', tree, '--owner=0', '--group=0', '-c', '.'])]));
}

test('a tar comes back as it was, in pieces that are stored once', async () => {
  const block = randomBytes(8_388_608);
  const tar = Buffer.concat([block, block, randomBytes(100_000)]);
  const pieces = Array.from({ length: Math.ceil(tar.length / 65_521) }, (_, i) =>
    tar.subarray(i * 65_521, (i + 1) * 65_521),
  );
  const layer = await store.putLayer(Readable.from(pieces));
  expect(await store.putLayer(Readable.from([tar]))).toBe(layer);
  const stored = await store.layer(layer);
  expect(stored.bytes).toBe(tar.length);
  expect(stored.chunks).toHaveLength(3);
  expect(keys().filter((key) => key.includes('chunks'))).toHaveLength(2);
  const read: Uint8Array[] = [];
  for await (const chunk of store.read(stored)) read.push(Buffer.from(chunk));
  expect(Buffer.concat(read).equals(tar)).toBe(true);
});

test('an image is its layers in their order, and known by them', async () => {
  const layers = [
    await store.putLayer(Readable.from([Buffer.from('a')])),
    await store.putLayer(Readable.from([Buffer.from('b')])),
  ];
  const image = await store.putImage({ base: 'host', layers });
  expect((await store.image(image)).layers).toEqual(layers);
  expect(await store.putImage({ base: 'host', layers })).toBe(image);
  expect(await store.putImage({ base: 'host', layers: layers.toReversed() })).not.toBe(image);
});

test('to another account an image is not there, nor is what was changed in the object store', async () => {
  const layer = await store.putLayer(Readable.from([Buffer.from('mine')]));
  const image = await store.putImage({ base: 'host', layers: [layer] });
  const other = storeOf('bob');
  expect(await codeOf(other.image(image))).toBe('NotFound');
  expect(await codeOf(other.layer(layer))).toBe('NotFound');
  expect(await codeOf(store.image('../../bob/manifests/x'))).toBe('NotFound');
  await writeFile(join(folder, `images/ann/manifests/${image}`), 'another image');
  expect(await codeOf(store.image(image))).toBe('NotFound');
});

isolatedTest('a layer is unpacked once for all who hold it, and those that nobody holds make room', async () => {
  const layers = [
    await layerOf('echo one > /srv/f'),
    await layerOf('echo two > /srv/f'),
    await layerOf('echo 3 > /srv/f'),
  ];
  const [one, two, three] = layers as [string, string, string];
  const sizes = await Promise.all(layers.map(async (layer) => (await store.layer(layer)).bytes));
  const place = join(bench.folder, 'cache');
  const cache = new LayerCache({ folder: place, store, backend: bench.backend, maxBytes: Math.max(...sizes) * 2 });
  const [first, again] = await Promise.all([cache.hold([one]), cache.hold([one])]);
  expect(again.folders).toEqual(first.folders);
  const unpacked = first.folders[0] as string;
  expect(await readFile(join(unpacked, 'srv/f'), 'utf8')).toBe('one\n');
  const second = await cache.hold([two]);
  const refused = await cache.hold([three]).catch((e: unknown) => e);
  expect(isHoldfastError(refused, 'NoCapacity')).toBe(true);
  first.release();
  first.release();
  expect(await codeOf(cache.hold([three]))).toBe('NoCapacity');
  again.release();
  const third = await cache.hold([three, two]);
  expect(existsSync(unpacked)).toBe(false);
  expect(readdirSync(place)).toHaveLength(2);
  expect(third.folders[1]).toBe(second.folders[0]);
  await cache.close();
});

isolatedTest('a layer whose paths are as long as paths can be is removed like any other', async () => {
  const layer = await layerOf(`perl -e 'chdir "/srv"; for (1 .. 50) { mkdir "d" x 79; chdir "d" x 79 }'`);
  const place = join(bench.folder, 'long');
  const cache = new LayerCache({ folder: place, store, backend: bench.backend, maxBytes: 600_000 });
  (await cache.hold([layer])).release();
  const [unpacked] = readdirSync(place) as [string];
  await expect(rm(join(place, unpacked), { recursive: true })).rejects.toMatchObject({ code: 'ENAMETOOLONG' });
  const other = await cache.hold([await layerOf('head -c 400000 /dev/urandom > /srv/f')]);
  expect(readdirSync(place)).toHaveLength(1);
  other.release();
  const deeper = await layerOf(`perl -e 'chdir "/srv"; for (1 .. 70) { mkdir "d" x 79; chdir "d" x 79 }'`);
  expect(await codeOf(cache.hold([deeper]))).toBe('Unavailable');
  expect(readdirSync(place)).toEqual([]);
  await cache.close();
});

isolatedTest('an image of very many layers becomes one layer, with the same files', async () => {
  const place = join(bench.folder, 'deep');
  const { backend } = bench;
  const images = new Images({ backend, store, folder: place, maxBytes: 1e9, clock: systemClock });
  const { signal } = new AbortController();
  const first = await layerOf('mkdir /srv/d; echo base > /srv/base; echo gone > /srv/gone');
  const others = [];
  for (let index = 0; index < 31; index += 1) others.push(await tarOf(`file${index}`, `${index}`));
  const deep = await store.putImage({ base: 'host', layers: [...others, first] });
  const scratch = await images.createScratch('deep', { diskGb: 1, image: { id: deep, withinMs: 60_000 } });
  const count = await bench.shell('rm /srv/gone; ls /srv | wc -l; cat /srv/file30 /srv/base', { scratch });
  expect(count.out).toEqual(['33', '30base']);
  const flat = await images.snapshot(scratch, signal);
  expect((await store.image(flat)).layers).toHaveLength(1);
  const again = await images.createScratch('again', { diskGb: 1, image: { id: flat, withinMs: 60_000 } });
  const same = await bench.shell('ls /srv | wc -l; cat /srv/file30 /srv/base', { scratch: again });
  expect(same.out).toEqual(count.out);
  expect(await images.snapshot(again, signal)).not.toBe(flat);
  await Promise.all([scratch.remove(), again.remove()]);
  await images.close();
});

isolatedTest('a layer of which a part is missing is not there for anybody, and is tried again', async () => {
  const layer = await layerOf('head -c 20000000 /dev/urandom > /srv/f');
  const { chunks } = await store.layer(layer);
  const key = `images/ann/chunks/${chunks.at(-1)}`;
  const bytes = (await objects.get(key)) as Uint8Array;
  await objects.delete(key);
  const place = join(bench.folder, 'parts');
  const cache = new LayerCache({ folder: place, store, backend: bench.backend, maxBytes: 1e9 });
  expect(await codeOf(cache.hold([layer]))).toBe('NotFound');
  expect(readdirSync(place)).toEqual([]);
  await objects.put(key, bytes);
  const { folders } = await cache.hold([layer]);
  expect(readdirSync(join(folders[0] as string, 'srv'))).toEqual(['f']);
  await cache.close();
});
