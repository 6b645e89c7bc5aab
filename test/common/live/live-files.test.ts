import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, expect, it } from 'vitest';
import { createDiskObjectStore } from '../../../src/adapters/disk/disk-object-store.js';
import { createLmdbStore } from '../../../src/adapters/embedded/lmdb-store.js';
import { systemClock, systemRandom } from '../../../src/adapters/system/clock.js';
import { rootIno } from '../../../src/common/live/inode.js';
import { blockBytes } from '../../../src/common/live/live-content.js';
import { LiveRefusal } from '../../../src/common/live/live-error.js';
import type { LiveFiles } from '../../../src/common/live/live-files.js';
import { LiveNames } from '../../../src/common/live/live-names.js';
import { sweepLive } from '../../../src/common/live/live-sweep.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-live-'));
const store = createLmdbStore({ path: join(folder, 'store'), clock: systemClock });
const objects = createDiskObjectStore({ folder: join(folder, 'objects') });
const account = 'acme';
const time = { aheadMs: 0 };
const parts = {
  ...{ store: store.live, objects, random: systemRandom },
  clock: {
    now: () => systemClock.now() + time.aheadMs,
    monotonic: () => systemClock.monotonic(),
    sleep: (ms: number) => systemClock.sleep(ms),
    after: (ms: number, task: () => void) => systemClock.after(ms, task),
  },
};
const names = new LiveNames(parts, account);
let made = 0;

afterAll(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Two who know nothing of each other. */
async function both(): Promise<[LiveFiles, LiveFiles]> {
  made += 1;
  const { id } = await names.make(`fs-${made}`, null);
  return [names.files(id), new LiveNames(parts, account).files(id)];
}

const file = { type: 'file', mode: 0o644 } as const;
const directory = { type: 'directory', mode: 0o755 } as const;
const inRoot = (name: string) => ({ directory: rootIno, name });
const whole = { offset: 0, isAppend: false } as const;
const readAll = async (files: LiveFiles, ino: string) => await files.content.read(ino, 0, 64 * blockBytes);
const refusal = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => null,
    (error: unknown) => (error instanceof LiveRefusal ? error.code : error),
  );
const objectKeys = async (): Promise<string[]> => {
  const keys: string[] = [];
  for await (const page of objects.list(`live/${account}`)) keys.push(...page);
  return keys;
};

it('bytes are those of a file, wherever they are written, cut and read', async () => {
  const [one, two] = await both();
  const at = fc.integer({ min: 0, max: 3 * blockBytes });
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(blockBytes - 1, blockBytes, blockBytes + 1));
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), at, size }),
    fc.record({ kind: fc.constant('append' as const), at, size }),
    fc.record({ kind: fc.constant('cut' as const), at, size }),
  );
  let round = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      round += 1;
      const { ino } = await one.make(inRoot(`f${round}`), file);
      let model = Buffer.alloc(0);
      for (const [i, { kind, at: offset, size: length }] of steps.entries()) {
        const files = i % 2 === 0 ? one : two;
        if (kind === 'cut') {
          await files.content.cut(ino, offset);
          model = Buffer.concat([model, Buffer.alloc(Math.max(0, offset - model.length))]).subarray(0, offset);
        } else {
          const bytes = Buffer.alloc(length, 65 + i);
          const from = kind === 'append' ? model.length : offset;
          await files.content.write(ino, bytes, { offset, isAppend: kind === 'append' });
          model = Buffer.concat([model, Buffer.alloc(Math.max(0, from + length - model.length))]);
          bytes.copy(model, from);
        }
        // The other one sees it at once.
        const other = i % 2 === 0 ? two : one;
        expect((await other.get(ino)).size).toBe(model.length);
        expect((await readAll(other, ino)).equals(model)).toBe(true);
      }
    }),
    { numRuns: 20 },
  );
});

it('writers at once lose nothing: each append is there once and whole, and parts of one block are all there', async () => {
  const [one, two] = await both();
  const { ino } = await one.make(inRoot('log'), file);
  const { ino: table } = await one.make(inRoot('table'), file);
  await Promise.all(
    [one, two, one].map(async (files, writer) => {
      for (let i = 0; i < 8; i++) {
        const line = Buffer.from(`${writer}.${i}\n`);
        await files.content.write(ino, line, { offset: 0, isAppend: true });
        await files.content.write(table, line, { offset: (writer * 8 + i) * 4, isAppend: false });
      }
    }),
  );
  const wanted = [0, 1, 2].flatMap((writer) => Array.from({ length: 8 }, (_, i) => `${writer}.${i}`));
  expect((await readAll(two, ino)).toString().trim().split('\n').toSorted()).toEqual(wanted);
  expect((await readAll(one, table)).toString().trim().split('\n')).toEqual(wanted);
});

it('of those who make or move to one name at once, one does; nothing is lost, and no directory is in itself', async () => {
  const [one, two] = await both();
  const results = await Promise.all([one, two, one, two].map((files) => refusal(files.make(inRoot('once'), file))));
  expect(results.filter((result) => result === null)).toHaveLength(1);
  expect(results.filter((result) => result === 'EEXIST')).toHaveLength(3);
  const [a, b] = [await one.make(inRoot('a'), directory), await two.make(inRoot('b'), directory)];
  const moves = await Promise.all([
    refusal(one.rename(inRoot('a'), { directory: b.ino, name: 'a' }, true)),
    refusal(two.rename(inRoot('b'), { directory: a.ino, name: 'b' }, true)),
  ]);
  expect(moves.filter((result) => result === null)).toHaveLength(1);
  expect((await one.get(rootIno)).size).toBe(2);
  const filled = await one.make(inRoot('filled'), directory);
  const [removal, making] = await Promise.all([
    refusal(one.remove(inRoot('filled'), 'directory')),
    refusal(two.make({ directory: filled.ino, name: 'x' }, file)),
  ]);
  expect([removal, making]).toContainEqual(null);
  expect(removal === null && making === null).toBe(false);
});

it('a file that lost its name can be read and written by who has it, for an hour; then nothing of it is left', async () => {
  const [one, two] = await both();
  const { ino } = await one.make(inRoot('gone'), file);
  await one.content.write(ino, randomBytes(blockBytes + 5), whole);
  await one.content.write(ino, Buffer.from('x'), whole);
  const mine = (await objectKeys()).filter((key) => key.includes(ino));
  // What was replaced is gone already.
  expect(mine).toHaveLength(2);
  await two.remove(inRoot('gone'), 'file');
  expect(await one.find(inRoot('gone'))).toBeNull();
  await one.content.write(ino, Buffer.from('yz'), whole);
  await sweepLive(parts, account, names);
  expect((await readAll(two, ino)).subarray(0, 2).toString()).toBe('yz');
  await objects.put(
    `${mine[0]?.slice(0, mine[0].lastIndexOf('/'))}/${'0'.repeat(36)}`,
    Buffer.from('of a killed writer'),
  );
  const kept = await one.make(inRoot('kept'), file);
  await one.content.write(kept.ino, Buffer.from('kept'), whole);
  time.aheadMs = 3_700_000;
  await sweepLive(parts, account, names);
  time.aheadMs = 0;
  expect(await refusal(one.content.read(ino, 0, 1))).toBe('ESTALE');
  expect((await objectKeys()).filter((key) => key.includes(ino))).toEqual([]);
  expect((await readAll(two, kept.ino)).toString()).toBe('kept');
});

it('is seen whole or not where it is written as one file, whoever reads meanwhile', async () => {
  const [one, two] = await both();
  const put = async (text: string): Promise<void> => {
    const ino = await one.makeNameless(0o644);
    await one.content.write(ino, Buffer.alloc(2 * blockBytes, text), whole);
    await one.link(ino, inRoot('whole'));
  };
  await put('0');
  const seen = new Set<string>();
  let isOver = false;
  const reading = (async () => {
    while (!isOver) {
      const found = await two.find(inRoot('whole'));
      const bytes = await readAll(two, found?.ino ?? '');
      expect(bytes.length).toBe(2 * blockBytes);
      seen.add([...new Set(bytes.toString())].join());
    }
  })();
  for (const text of ['1', '2', '3']) await put(text);
  isOver = true;
  await reading;
  for (const text of seen) expect(text).toMatch(/^\d$/);
});

it('one of a client that is gone is deleted, with all that it had', async () => {
  const { id } = await names.make('brief', 60_000);
  expect(await names.extend('brief', id, 60_000)).toBe(true);
  const { ino } = await names.files(id).make(inRoot('f'), file);
  await names.files(id).content.write(ino, Buffer.from('x'), whole);
  expect((await objectKeys()).filter((key) => key.includes(id))).toHaveLength(1);
  time.aheadMs = 120_000;
  expect(await names.find('brief')).toBeNull();
  expect(await names.extend('brief', id, 60_000)).toBe(false);
  expect(await names.expire()).toEqual(['brief']);
  await sweepLive(parts, account, names);
  time.aheadMs = 0;
  expect((await objectKeys()).filter((key) => key.includes(id))).toEqual([]);
  expect((await names.make('brief', null)).id).not.toBe(id);
});
