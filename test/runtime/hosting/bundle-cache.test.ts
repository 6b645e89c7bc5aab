import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { BundleCache } from '../../../src/runtime/hosting/bundle-cache.js';

const bundle = Buffer.from('export const answer = 42;');
const sha256 = createHash('sha256').update(bundle).digest('hex');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-bundles-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function cache(): Promise<{ cached: BundleCache; fetches: () => number }> {
  const objects = createDiskObjectStore({ folder: join(folder, 'objects') });
  await objects.put(`bundles/${sha256}`, bundle);
  let fetches = 0;
  const counted = {
    ...objects,
    get: (key: string) => {
      fetches += 1;
      return objects.get(key);
    },
  };
  return { cached: new BundleCache(join(folder, 'bundles'), counted), fetches: () => fetches };
}

describe('BundleCache', () => {
  it('fetches a bundle once for all who ask, and leaves nothing half written', async () => {
    const { cached, fetches } = await cache();
    const paths = await Promise.all([cached.path(sha256), cached.path(sha256), cached.path(sha256)]);
    expect(new Set(paths).size).toBe(1);
    expect(await readFile(paths[0] as string)).toEqual(bundle);
    expect(await cached.path(sha256)).toBe(paths[0]);
    expect(fetches()).toBe(1);
    expect(await readdir(join(folder, 'bundles'))).toHaveLength(1);
  });

  it('lets two boots of one process fetch the same bundle at the same time', async () => {
    const [first, second] = [await cache(), await cache()];
    const [a, b] = await Promise.all([first.cached.path(sha256), second.cached.path(sha256)]);
    expect(a).toBe(b);
    expect(await readFile(a)).toEqual(bundle);
  });

  it('fetches again what somebody has swept away', async () => {
    const { cached, fetches } = await cache();
    await unlink(await cached.path(sha256));
    expect(await readFile(await cached.path(sha256))).toEqual(bundle);
    expect(fetches()).toBe(2);
  });

  it('replaces a file that an earlier boot left damaged', async () => {
    const { cached } = await cache();
    const path = await cached.path(sha256);
    await writeFile(path, 'half of i');
    const { cached: next } = await cache();
    expect(await readFile(await next.path(sha256))).toEqual(bundle);
  });

  it('refuses a bundle that is not there, and finds it when it has come', async () => {
    const { cached } = await cache();
    const later = Buffer.from('later');
    const hash = createHash('sha256').update(later).digest('hex');
    await expect(cached.path(hash)).rejects.toMatchObject({ code: 'NotFound' });
    const objects = createDiskObjectStore({ folder: join(folder, 'objects') });
    await objects.put(`bundles/${hash}`, later);
    expect(await readFile(await cached.path(hash))).toEqual(later);
  });
});
