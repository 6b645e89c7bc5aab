import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import type { GuestChange } from '../../../src/common/ports/guest.js';
import { isolatedTest as test } from '../../isolated-test.js';
import { run, type StartedGuest, startGuest } from './start-guest.js';

let started: StartedGuest;
beforeEach(async () => {
  started = await startGuest();
});
afterEach(() => started[Symbol.asyncDispose]());

const outside = (path: string): string => join(started.folder, path.slice('/tmp/'.length));

/** The changes up to one of that path. */
async function until(changes: AsyncIterator<GuestChange>, path: string): Promise<GuestChange[]> {
  const seen: GuestChange[] = [];
  for (;;) {
    const { value, done } = await changes.next();
    if (done) throw new Error(`ended before ${path}`);
    seen.push(value);
    if (value.path === path) return seen;
  }
}

/** Without what was written more than once: how many of those the kernel merges is its own. */
function distinct(changes: readonly GuestChange[]): GuestChange[] {
  const texts = changes.map((change) => JSON.stringify(change));
  return changes.filter((_, i) => texts.indexOf(texts[i] as string) === i);
}

test('what is made, changed, renamed and removed in a directory is told in order', async () => {
  mkdirSync(outside('/tmp/d/below'), { recursive: true });
  const changes = await started.guest.watch('/tmp/d/');
  writeFileSync(outside('/tmp/d/a'), '1');
  renameSync(outside('/tmp/d/a'), outside('/tmp/d/b c\n'));
  renameSync(outside('/tmp/d/b c\n'), outside('/tmp/gone'));
  renameSync(outside('/tmp/gone'), outside('/tmp/d/back'));
  rmSync(outside('/tmp/d/back'));
  writeFileSync(outside('/tmp/d/below/unseen'), '');
  mkdirSync(outside('/tmp/d/last'));
  expect(distinct(await until(changes, '/tmp/d/last'))).toEqual([
    { type: 'create', path: '/tmp/d/a' },
    { type: 'modify', path: '/tmp/d/a' },
    { type: 'rename', path: '/tmp/d/b c\n', from: '/tmp/d/a' },
    { type: 'delete', path: '/tmp/d/b c\n' },
    { type: 'create', path: '/tmp/d/back' },
    { type: 'delete', path: '/tmp/d/back' },
    { type: 'create', path: '/tmp/d/last' },
  ]);
});

test('what leaves a directory is told at once, without another change', async () => {
  mkdirSync(outside('/tmp/d'));
  writeFileSync(outside('/tmp/d/a'), '1');
  const changes = await started.guest.watch('/tmp/d');
  renameSync(outside('/tmp/d/a'), outside('/tmp/gone'));
  expect(await changes.next()).toEqual({ done: false, value: { type: 'delete', path: '/tmp/d/a' } });
});

test('everything below is watched where that was asked for, also what comes later, wherever it is moved', async () => {
  mkdirSync(outside('/tmp/d/x/y'), { recursive: true });
  mkdirSync(outside('/tmp/other/z'), { recursive: true });
  const changes = await started.guest.watch('/tmp/d', { recursive: true });
  writeFileSync(outside('/tmp/d/x/y/file'), '');
  expect(await until(changes, '/tmp/d/x/y/file')).toEqual([{ type: 'create', path: '/tmp/d/x/y/file' }]);

  renameSync(outside('/tmp/d/x'), outside('/tmp/d/moved'));
  writeFileSync(outside('/tmp/d/moved/y/second'), '');
  expect(await until(changes, '/tmp/d/moved/y/second')).toEqual([
    { type: 'rename', path: '/tmp/d/moved', from: '/tmp/d/x' },
    { type: 'create', path: '/tmp/d/moved/y/second' },
  ]);

  renameSync(outside('/tmp/other'), outside('/tmp/d/other'));
  expect(distinct(await until(changes, '/tmp/d/other/z'))).toEqual([
    { type: 'create', path: '/tmp/d/other' },
    { type: 'create', path: '/tmp/d/other/z' },
  ]);
  writeFileSync(outside('/tmp/d/other/z/third'), '');
  await until(changes, '/tmp/d/other/z/third');

  renameSync(outside('/tmp/d/other'), outside('/tmp/left'));
  expect(await changes.next()).toMatchObject({ value: { type: 'delete', path: '/tmp/d/other' } });
  writeFileSync(outside('/tmp/left/z/unseen'), '');
  writeFileSync(outside('/tmp/d/last'), '');
  expect(await until(changes, '/tmp/d/last')).toEqual([{ type: 'create', path: '/tmp/d/last' }]);
});

test('no entry of a tree that grows fast is missed', async () => {
  mkdirSync(outside('/tmp/d'));
  const changes = await started.guest.watch('/tmp/d', { recursive: true });
  const names = Array.from({ length: 40 }, (_, i) => `a${i}`).flatMap((a) => [
    `${a}`,
    `${a}/b`,
    `${a}/b/c`,
    `${a}/b/c/file`,
  ]);
  const script = `for (const name of ${JSON.stringify(names)}) name.endsWith('file') ? fs.writeFileSync(name, '') : fs.mkdirSync(name)`;
  await run(started.guest, [process.execPath, '-e', script], { cwd: '/tmp/d' });
  const missing = new Set(names.map((name) => `/tmp/d/${name}`));
  while (missing.size > 0) {
    const { value } = (await changes.next()) as { value: GuestChange };
    expect(value.type).toBe('create');
    missing.delete(value.path);
  }
});

test('no directory is lost, however soon it is moved', async () => {
  mkdirSync(outside('/tmp/d'));
  const changes = await started.guest.watch('/tmp/d', { recursive: true });
  const script = `for (let i = 0; i < 60; i += 1) {
    fs.mkdirSync('a' + i + '/b/c', { recursive: true });
    fs.renameSync('a' + i, 'r' + i);
    fs.mkdirSync('r' + i + '/d');
    fs.renameSync('r' + i + '/b', 'r' + i + '/d/e');
  }
  for (let i = 0; i < 60; i += 1) fs.writeFileSync('r' + i + '/d/e/c/marker', '');`;
  await run(started.guest, [process.execPath, '-e', script], { cwd: '/tmp/d' });
  const missing = new Set(Array.from({ length: 60 }, (_, i) => `/tmp/d/r${i}/d/e/c/marker`));
  while (missing.size > 0) {
    const { value } = (await changes.next()) as { value: GuestChange };
    missing.delete(value.path);
  }
});

test('a file can be watched, up to its end', async () => {
  writeFileSync(outside('/tmp/file'), '1');
  const changes = await started.guest.watch('/tmp/file', { recursive: true });
  writeFileSync(outside('/tmp/file'), '2');
  expect(await changes.next()).toMatchObject({ value: { type: 'modify', path: '/tmp/file' } });
  rmSync(outside('/tmp/file'));
  expect((await until(changes, '/tmp/file')).length).toBeGreaterThan(0);
});

test('more changes than are read end it with StreamLost, and the guest goes on', async () => {
  mkdirSync(outside('/tmp/d'));
  const changes = await started.guest.watch('/tmp/d');
  await run(started.guest, ['/bin/sh', '-c', 'seq 1 20000 | xargs touch; seq 1 20000 | xargs rm'], { cwd: '/tmp/d' });
  const all = async () => {
    for (;;) await changes.next();
  };
  await expect(all()).rejects.toMatchObject({ code: 'StreamLost' });
  expect(await changes.next()).toEqual({ done: true, value: undefined });
  expect(await run(started.guest, ['true'])).toMatchObject({ exitCode: 0 });
});

test('what is not there cannot be watched, and who stops reading stops the watch', async () => {
  await expect(started.guest.watch('/tmp/none')).rejects.toMatchObject({ code: 'FileNotFound' });
  await expect(started.guest.watch('none')).rejects.toMatchObject({ code: 'InvalidArgument' });
  const changes = await started.guest.watch('/tmp');
  const next = changes.next();
  await changes.return?.();
  expect(await next).toEqual({ done: true, value: undefined });
  writeFileSync(outside('/tmp/file'), '');
  expect((await started.guest.stat('/tmp/file')).type).toBe('file');
});
