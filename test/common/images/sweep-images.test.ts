import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { systemRandom } from '../../../src/adapters/system/clock.js';
import { HoldfastError, isHoldfastError } from '../../../src/common/errors.js';
import { staleMs } from '../../../src/common/images/image-exclusion.js';
import { ImageStore } from '../../../src/common/images/image-store.js';
import { sweepImages } from '../../../src/common/images/sweep-images.js';
import type { ObjectStore } from '../../../src/common/ports/object-store.js';
import { ManualClock } from '../../manual-clock.js';

const dayMs = 86_400_000;
let folder = '';
let clock: ManualClock;
let objects: ObjectStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-sweep-'));
  clock = new ManualClock();
  objects = createDiskObjectStore({ folder });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const parts = () => ({ objects, account: 'ann', clock, random: systemRandom });
const storeOf = () => new ImageStore(parts());
const sweep = (deployed: readonly string[] = []) =>
  sweepImages(parts(), { deployed: async () => new Set(deployed), keepForMs: 7 * dayMs });

async function imageOf(store: ImageStore, ...texts: string[]): Promise<string> {
  const layers: string[] = [];
  for (const text of texts) layers.push(await store.putLayer(Readable.from([Buffer.from(text)])));
  return await store.putImage({ base: 'none', layers });
}

async function keysOf(kind: string): Promise<number> {
  let count = 0;
  for await (const page of objects.list(kind === '' ? 'images/ann' : `images/ann/${kind}`)) count += page.length;
  return count;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const failed = await work.then(
    () => null,
    (e: unknown) => e,
  );
  return isHoldfastError(failed) ? failed.code : String(failed);
}

function gate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}

/** Advances the clock until the work is done, one turn of the event loop after the other. */
async function whileTimePasses<T>(work: Promise<T>): Promise<T> {
  let isOver = false;
  const done = work.finally(() => {
    isOver = true;
  });
  done.catch(() => undefined); // thrown below
  while (!isOver) {
    clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return await done;
}

test('what no deployment names and nothing used lately goes, with the layers that only it had', async () => {
  const store = storeOf();
  const [old, deployed, shared] = [
    await imageOf(store, 'shared', 'old'),
    await imageOf(store, 'deployed'),
    await imageOf(store, 'shared', 'new'),
  ];
  await store.putBuilt('a', old);
  await store.putBuilt('b', shared);
  clock.advance(8 * dayMs);
  await store.used(shared);
  expect(await sweep([deployed])).toMatchObject({ imagesKept: 2, imagesRemoved: 1, removed: 5 });
  expect(await store.built('a')).toBeNull();
  expect(await store.built('b')).toBe(shared);
  expect([await keysOf('manifests'), await keysOf('layers'), await keysOf('chunks')]).toEqual([2, 3, 3]);
  for (const image of [deployed, shared]) {
    for (const layer of (await store.image(image)).layers) for await (const _ of store.read(await store.layer(layer)));
  }
  expect(await codeOf(store.image(old))).toBe('NotFound');
  expect(await sweep([deployed])).toMatchObject({ imagesRemoved: 0, removed: 0 });
  clock.advance(8 * dayMs);
  expect(await sweep()).toMatchObject({ imagesKept: 0, imagesRemoved: 2 });
  expect(await keysOf('')).toBe(0);
});

test('what somebody is writing is not swept, and who begins while it is swept waits for the end', async () => {
  const store = storeOf();
  await imageOf(store, 'found');
  clock.advance(8 * dayMs);
  const begins = gate();
  const finish = gate();
  const writing = store.writers.run(async () => {
    begins.resolve();
    await finish.promise;
    return await imageOf(store, 'found');
  });
  await begins.promise;
  expect(await codeOf(whileTimePasses(sweep()))).toBe('Unavailable');
  finish.resolve();
  const image = await writing;
  expect(await sweep()).toMatchObject({ imagesKept: 1, imagesRemoved: 0 });

  clock.advance(8 * dayMs);
  const order: string[] = [];
  let begun: Promise<void> | null = null;
  const deployed = async () => {
    begun = storeOf().writers.run(async () => void order.push('written'));
    for (let turn = 0; turn < 20; turn += 1) {
      clock.advance(1_000);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    order.push('swept');
    return new Set([image]);
  };
  await sweepImages(parts(), { deployed, keepForMs: 0 });
  await whileTimePasses(begun as unknown as Promise<void>);
  expect(order).toEqual(['swept', 'written']);
});

test('a writer or a sweeper that is dead holds nobody up for long, and two do not sweep at once', async () => {
  const now = () => Buffer.from(String(clock.now()));
  await objects.put('images/ann/sweep', now());
  expect(await codeOf(sweep())).toBe('Unavailable');
  clock.advance(staleMs);
  await objects.put('images/ann/writers/dead', now());
  expect(await codeOf(whileTimePasses(sweep()))).toBe('Unavailable');
  clock.advance(staleMs);
  expect(await sweep()).toMatchObject({ removed: 0 });
});

test('nothing is removed where something cannot be read', async () => {
  const store = storeOf();
  const image = await imageOf(store, 'kept');
  await imageOf(store, 'old');
  clock.advance(8 * dayMs);
  const before = await keysOf('');
  const away = new HoldfastError('Unavailable', 'the object store is away');
  const broken = {
    ...objects,
    get: (key: string) => (key.includes('/layers/') ? Promise.reject(away) : objects.get(key)),
  };
  const deployed = async () => new Set([image]);
  expect(await codeOf(sweepImages({ ...parts(), objects: broken }, { deployed, keepForMs: 0 }))).toBe('Unavailable');
  expect(await keysOf('')).toBe(before);
});
