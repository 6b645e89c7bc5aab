import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { BlockCache } from '../../../src/runtime/mounts/bucket/block-cache.js';
import type { BucketNode } from '../../../src/runtime/mounts/bucket/bucket-node.js';
import { BucketTree } from '../../../src/runtime/mounts/bucket/bucket-tree.js';
import { turns, until } from '../until.js';
import { MemoryBucket } from './memory-bucket.js';

let folder: string;
let bucket: MemoryBucket;
let tree: BucketTree;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-bucket-'));
  bucket = new MemoryBucket();
  const limits = { maxLocalBytes: 1e6, prefix: '', id: 'b', log: () => undefined };
  tree = new BucketTree({ ...limits, bucket, clock: systemClock, blocks: new BlockCache(), folder });
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A file that is open, with bytes that are not uploaded yet. */
async function written(directory: BucketNode, name: string, text: string): Promise<BucketNode> {
  const known = await tree.find(directory, name);
  const file = known ?? (await tree.makeFile({ directory, name }));
  await tree.open(file);
  await tree.change(file, { size: 0 });
  await tree.write(file, Buffer.from(text), { offset: 0, isAppend: true });
  return file;
}

async function closed(file: BucketNode): Promise<void> {
  await tree.flush(file);
  await tree.release(file);
}

describe('a file of a bucket that is closed while it is moved', () => {
  it('I3: with its folder, is in its new place with all that was written', async () => {
    const { root } = tree;
    const from = await tree.makeDirectory({ directory: root, name: 'from' });
    const known = await written(from, 'known', 'one');
    await closed(await written(from, 'other', 'x'));
    const copying = bucket.hold('copy to/other');
    const moved = tree.rename({ directory: root, name: 'from' }, { directory: root, name: 'to' }, true);
    await until(copying.reached);
    const late = [
      tree.write(known, Buffer.from(' two'), { offset: 0, isAppend: true }).then(() => closed(known)),
      written(from, 'new', 'three').then(closed),
    ];
    await turns(50);
    copying.letGo();
    await Promise.all([moved, ...late]);
    const texts = ['to/known', 'to/other', 'to/new'].map((key) => bucket.text(key));
    expect(texts).toEqual(['one two', 'x', 'three']);
    expect([...bucket.objects.keys()].filter((key) => key.startsWith('from/'))).toEqual([]);
    expect((await tree.find(root, 'to'))?.type).toBe('directory');
  });

  it('I3: is not there any more where another one took its name, whichever was under way before', async () => {
    const { root } = tree;
    await closed(await written(root, 'new', 'new'));
    const target = await written(root, 'target', 'old');
    const uploading = bucket.hold('put target');
    const closing = closed(target);
    await until(uploading.reached);
    const moved = tree.rename({ directory: root, name: 'new' }, { directory: root, name: 'target' }, true);
    await turns(50);
    uploading.letGo();
    await Promise.all([moved, closing]);
    expect(bucket.text('target')).toBe('new');
    expect(bucket.text('new')).toBeNull();
  });

  it('I3: two that take names of each other do not wait for ever', async () => {
    const { root } = tree;
    await closed(await written(root, 'a', 'a'));
    await closed(await written(root, 'b', 'b'));
    const moves = [
      ['a', 'b'],
      ['b', 'a'],
    ].map(([from = '', to = '']) =>
      tree.rename({ directory: root, name: from }, { directory: root, name: to }, true).catch(() => undefined),
    );
    await Promise.all(moves);
    expect(bucket.objects.size).toBe(1);
  });
});

describe('a file of a bucket that is read', () => {
  const [block, mebibyte] = [4_194_304, 1_048_576];

  async function stored(blocks: number): Promise<BucketNode> {
    const bytes = Buffer.alloc(blocks * block, 'stored');
    const object = { key: 'big', size: bytes.length, modifiedMs: 1, etag: 'e' };
    bucket.objects.set('big', { bytes, object });
    const file = (await tree.find(tree.root, 'big')) as BucketNode;
    await tree.open(file);
    return file;
  }

  it('to its end is fetched before its reader, each part once', async () => {
    const file = await stored(9);
    const bytes: Buffer[] = [];
    for (let at = 0; at < 9 * block; at += mebibyte) {
      bytes.push(Buffer.from(await tree.read(file, at, mebibyte)));
      const next = Math.floor(at / block) + 1;
      if (next < 9) expect(bucket.offsets).toContain(next * block);
    }
    expect(Buffer.concat(bytes).equals(Buffer.alloc(9 * block, 'stored'))).toBe(true);
    expect(bucket.offsets).toEqual(Array.from({ length: 9 }, (_, i) => i * block));
  });

  it('here and there is fetched there only', async () => {
    const file = await stored(9);
    for (const index of [5, 2, 7, 0, 4]) await tree.read(file, index * block + mebibyte, 4_096);
    expect(bucket.offsets).toEqual([5, 2, 7, 0, 4].map((index) => index * block));
  });

  it('whose part was not there when it was fetched before its reader is fetched again for him', async () => {
    const file = await stored(3);
    const whole = bucket.objects.get('big');
    if (whole === undefined) throw new Error('nothing is stored');
    bucket.objects.set('big', { ...whole, bytes: whole.bytes.subarray(0, block) });
    expect((await tree.read(file, 0, mebibyte)).length).toBe(mebibyte);
    bucket.objects.set('big', whole);
    expect((await tree.read(file, block, mebibyte)).equals(whole.bytes.subarray(block, block + mebibyte))).toBe(true);
    expect(bucket.offsets.filter((offset) => offset === block)).toHaveLength(2);
  });
});
