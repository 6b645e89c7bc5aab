import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect } from 'vitest';
import type { Guest } from '../../../src/common/ports/guest.js';
import { isolatedTest as test } from '../../isolated-test.js';
import { run, type StartedGuest, startGuest } from './start-guest.js';

let started: StartedGuest;
let guest: Guest;
beforeAll(async () => {
  started = await startGuest();
  guest = started.guest;
});
afterAll(() => started[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const name of await readdir(started.folder)) await rm(join(started.folder, name), { recursive: true });
});

const outside = (path: string): string => join(started.folder, path.slice('/tmp/'.length));

async function readAll(path: string, range?: { offset?: number; length?: number }): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of guest.read(path, range)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('a file', () => {
  test.each([0, 1, 65_535, 131_072, 131_073, 262_144, 262_145, 3_000_001])(
    'of %d bytes comes back as it was',
    async (size) => {
      const bytes = Buffer.from(Uint8Array.from({ length: size }, (_, i) => i * 7 + (i >> 8)));
      await guest.writeFile('/tmp/file', bytes);
      expect(readFileSync(outside('/tmp/file')).equals(bytes)).toBe(true);
      expect(Buffer.from(await guest.readFile('/tmp/file', { maxBytes: size })).equals(bytes)).toBe(true);
      expect((await readAll('/tmp/file')).equals(bytes)).toBe(true);
      expect(await guest.stat('/tmp/file')).toMatchObject({ type: 'file', size, mode: 0o644 });
    },
  );

  test('is cut off by the next write, unless that appends', async () => {
    await guest.writeFile('/tmp/file', Buffer.from('a long first text'));
    await guest.writeFile('/tmp/file', Buffer.from('short'));
    await guest.writeFile('/tmp/file', Buffer.from(' and more'), { append: true });
    expect(readFileSync(outside('/tmp/file'), 'utf8')).toBe('short and more');
  });

  test('has the mode that was asked for, and its parents where they were', async () => {
    await expect(guest.writeFile('/tmp/a/b/file', Buffer.from('x'))).rejects.toMatchObject({
      code: 'FileNotFound',
      message: 'cannot write /tmp/a/b/file: there is no such file or directory',
      details: { path: '/tmp/a/b/file' },
    });
    await guest.writeFile('/tmp/a/b/file', Buffer.from('x'), { makeParents: true, mode: 0o700 });
    expect((await guest.stat('/tmp/a/b/file')).mode).toBe(0o700);
    const writer = await guest.write('/tmp/c/d/file', { makeParents: true });
    await writer.write(Buffer.from('one '));
    await writer.write(Buffer.from('two'));
    await writer.end();
    expect(readFileSync(outside('/tmp/c/d/file'), 'utf8')).toBe('one two');
  });

  test('can be read in part', async () => {
    await guest.writeFile('/tmp/file', Buffer.from('0123456789'));
    expect(String(await readAll('/tmp/file', { offset: 3 }))).toBe('3456789');
    expect(String(await readAll('/tmp/file', { offset: 3, length: 4 }))).toBe('3456');
    expect(String(await readAll('/tmp/file', { offset: 30 }))).toBe('');
    expect(String(await readAll('/tmp/file', { length: 0 }))).toBe('');
    await expect(readAll('/tmp/file', { offset: -1 })).rejects.toMatchObject({ code: 'InvalidArgument' });
  });

  test('can be left before its end, and the guest goes on', async () => {
    for await (const piece of guest.read('/dev/zero')) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const unread = guest.read('/no/such');
    await unread.return?.();
    expect(await unread.next()).toEqual({ done: true, value: undefined });
    expect((await guest.stat('/tmp')).type).toBe('directory');
  });

  test('that is longer than it may be is refused, one that says it is empty is read', async () => {
    await expect(guest.readFile('/dev/zero', { maxBytes: 1_000_000 })).rejects.toMatchObject({
      code: 'PayloadTooLarge',
    });
    expect(String(await guest.readFile('/proc/self/comm', { maxBytes: 100 }))).toBe('holdfast-guest\n');
  });

  test('that would block is refused', async () => {
    await run(guest, ['mkfifo', '/tmp/pipe']);
    for (const path of ['/tmp/pipe', '/tmp', '/dev/ptmx']) {
      await expect(guest.readFile(path, { maxBytes: 10 }), path).rejects.toMatchObject({ code: 'InvalidArgument' });
      await expect(guest.writeFile(path, Buffer.from('x')), path).rejects.toMatchObject({ outcome: 'not-run' });
    }
  });

  test('of a gigabyte goes up and down with flat memory on both sides', async () => {
    const piece = Buffer.alloc(1_048_576, 'gigabyte of text; ');
    const [up, down] = [createHash('sha1'), createHash('sha1')];
    const writer = await guest.write('/tmp/large');
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 1024; i += 1) {
      up.update(piece);
      await writer.write(piece);
    }
    await writer.end();
    for await (const bytes of guest.read('/tmp/large')) down.update(bytes);
    expect(down.digest('hex')).toBe(up.digest('hex'));
    expect(process.memoryUsage.rss() - before).toBeLessThan(128 * 1_048_576);
    const agent = await readFile(`/proc/${agentPid()}/status`, 'utf8');
    expect(Number(/VmHWM:\s+(\d+) kB/.exec(agent)?.[1])).toBeLessThan(8_192);
  });

  test('that is written piece by piece is done with each when its write is over', async () => {
    const content = randomBytes(4_000_000);
    const own = Buffer.alloc(300_000);
    const writer = await guest.write('/tmp/reused');
    for (let at = 0; at < content.length; at += own.length) {
      await writer.write(own.subarray(0, content.copy(own, 0, at)));
      own.fill(0);
    }
    await writer.end();
    expect(readFileSync(outside('/tmp/reused')).equals(content)).toBe(true);
  });

  test('that is lent gives the memory of each piece back, and takes none of what else comes meanwhile', async () => {
    const content = randomBytes(4_000_000);
    await guest.writeFile('/tmp/lent', content);
    const counting = run(guest, ['sh', '-c', 'i=0; while [ $i -lt 300 ]; do i=$((i + 1)); echo $i; done']);
    const seen: Uint8Array[] = [];
    let [bytes, isWhole] = [0, true];
    for await (const piece of guest.read('/tmp/lent', { isLent: true })) {
      bytes += piece.length;
      isWhole &&= piece.length > 0 && Buffer.compare(piece, content.subarray(bytes - piece.length, bytes)) === 0;
      seen.push(piece);
    }
    expect([bytes, isWhole]).toEqual([content.length, true]);
    expect(seen.filter(({ length }) => length === 0).length).toBeGreaterThan(seen.length / 3);
    expect((await counting).stdout).toBe(Array.from({ length: 300 }, (_, i) => `${i + 1}\n`).join(''));
    const kept = await readAll('/tmp/lent');
    expect(kept.equals(content)).toBe(true);
  });

  test('that cannot be written says so to every waiter, also when the disk is full', async () => {
    const writer = await guest.write('/dev/full');
    const results = await Promise.allSettled([writer.write(Buffer.alloc(1_000_000)), writer.end()]);
    for (const each of results) expect(each).toMatchObject({ status: 'rejected', reason: { code: 'NoCapacity' } });
    await expect(writer.write(Buffer.from('x'))).rejects.toMatchObject({ code: 'NoCapacity' });
    await expect(guest.writeFile('/dev/full', Buffer.alloc(2_000_000))).rejects.toMatchObject({ code: 'NoCapacity' });
    await expect(guest.writeFile('/etc/no', Buffer.from('x'))).rejects.toMatchObject({ code: 'PermissionDenied' });
  });

  test('whose writer stops keeps what was written', async () => {
    const writer = await guest.write('/tmp/file');
    await writer.write(Buffer.from('kept'));
    await guest.stat('/tmp');
    writer.abort();
    await guest.stat('/tmp');
    expect(readFileSync(outside('/tmp/file'), 'utf8')).toBe('kept');
  });
});

describe('a path', () => {
  test.each([
    ['FileNotFound', '/tmp/none'],
    ['FileNotFound', '/tmp/none/below'],
    ['InvalidArgument', '/etc/passwd/below'],
    ['InvalidArgument', `/tmp/${'x'.repeat(256)}`],
    ['InvalidArgument', `/${'x/'.repeat(2100)}`],
    ['InvalidArgument', 'relative'],
    ['InvalidArgument', ''],
    ['InvalidArgument', '/tmp/loop'],
  ])('that cannot be used is %s: %s', async (code, path) => {
    symlinkSync('loop', outside('/tmp/loop'));
    for (const attempt of [guest.stat(path), guest.list(path), guest.readFile(path, { maxBytes: 1 }), readAll(path)]) {
      await expect(attempt).rejects.toMatchObject({ code, message: expect.stringContaining(path.slice(0, 40)) });
    }
  });

  test('with a NUL is refused, and so is every text of a command that has one', async () => {
    const refused = [guest.stat('/tmp/a\0b'), run(guest, ['true', '\0']), run(guest, ['true'], { env: { A: '\0' } })];
    for (const each of refused)
      await expect(each).rejects.toMatchObject({ code: 'InvalidArgument', message: expect.stringContaining('NUL') });
  });

  test('is looked at behind a link or at the link itself', async () => {
    symlinkSync('/etc/passwd', outside('/tmp/link'));
    symlinkSync('/none', outside('/tmp/broken'));
    expect((await guest.stat('/tmp/link')).type).toBe('file');
    expect((await guest.stat('/tmp/link', { followLinks: false })).type).toBe('symlink');
    expect((await guest.stat('/tmp/broken', { followLinks: false })).type).toBe('symlink');
    expect((await guest.stat('/dev/null')).type).toBe('other');
  });

  test('has its time of change, with fractions', async () => {
    writeFileSync(outside('/tmp/file'), '');
    expect((await guest.stat('/tmp/file')).modifiedAtMs).toBeCloseTo(statSync(outside('/tmp/file')).mtimeMs, 1);
  });

  test('resolves to where it really is, and to a directory that a command could run in', async () => {
    mkdirSync(outside('/tmp/real'));
    symlinkSync('real', outside('/tmp/link'));
    expect(await guest.realpath('/tmp/./link/../link/')).toBe('/tmp/real');
    expect(await guest.realpath('/tmp/link', { directory: true })).toBe('/tmp/real');
    await expect(guest.realpath('/etc/passwd', { directory: true })).rejects.toMatchObject({ code: 'InvalidArgument' });
    await expect(guest.realpath('/none', { directory: true })).rejects.toMatchObject({ code: 'FileNotFound' });
  });

  test('can be any bytes but NUL and slash, and up to 255 of them', async () => {
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 255 })
      .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 1 : byte))));
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(name, { maxLength: 6, selector: (each) => each.toString('hex') }),
        async (names) => {
          await rm(outside('/tmp/names'), { recursive: true, force: true });
          mkdirSync(outside('/tmp/names'));
          const usable = names.filter((each) => !['.', '..'].includes(each.toString('latin1')));
          for (const each of usable)
            writeFileSync(Buffer.concat([Buffer.from(`${outside('/tmp/names')}/`), each]), each);
          const listed = await guest.list('/tmp/names');
          const contents = await Promise.all(
            listed.map((entry) => guest.readFile(`/tmp/names/${entry.name}`, { maxBytes: 300 })),
          );
          expect(contents.map((each) => Buffer.from(each).toString('hex'))).toEqual(
            usable.sort(Buffer.compare).map((each) => each.toString('hex')),
          );
          for (const { name: text } of listed) {
            await guest.rename(`/tmp/names/${text}`, '/tmp/names/moved');
            await guest.remove('/tmp/names/moved');
          }
          expect(await guest.list('/tmp/names')).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('is renamed, also over what is there', async () => {
    await guest.writeFile('/tmp/from', Buffer.from('new'));
    await guest.writeFile('/tmp/to', Buffer.from('old'));
    await guest.rename('/tmp/from', '/tmp/to');
    expect(readFileSync(outside('/tmp/to'), 'utf8')).toBe('new');
    await expect(guest.rename('/tmp/from', '/tmp/to')).rejects.toMatchObject({
      code: 'FileNotFound',
      message: 'cannot rename /tmp/from to /tmp/to: there is no such file or directory',
    });
    await expect(guest.rename('/tmp/to', '/dev/to')).rejects.toMatchObject({ code: 'InvalidArgument' });
  });
});

describe('a directory', () => {
  test('is listed in the order of names, with types', async () => {
    mkdirSync(outside('/tmp/d/b'), { recursive: true });
    symlinkSync('b', outside('/tmp/d/a'));
    for (const name of ['ä', 'Z', 'c c', 'c\nc']) writeFileSync(outside(`/tmp/d/${name}`), '');
    expect(await guest.list('/tmp/d')).toEqual([
      { name: 'Z', type: 'file' },
      { name: 'a', type: 'symlink' },
      { name: 'b', type: 'directory' },
      { name: 'c\nc', type: 'file' },
      { name: 'c c', type: 'file' },
      { name: 'ä', type: 'file' },
    ]);
  });

  test('of many thousand entries is listed whole and in order, or refused where it is too much', async () => {
    mkdirSync(outside('/tmp/many'));
    const script =
      'for (let i = 0; i < 30000; i += 1) fs.writeFileSync("/tmp/many/" + "entry with a name ".repeat(8) + i, "")';
    await run(guest, [process.execPath, '-e', script]);
    const names = (await guest.list('/tmp/many')).map(({ name }) => name);
    expect(names).toEqual(Array.from({ length: 30_000 }, (_, i) => `${'entry with a name '.repeat(8)}${i}`).sort());
    await expect(guest.list('/tmp/many', { maxBytes: 1_000_000 })).rejects.toMatchObject({ code: 'PayloadTooLarge' });
    const controller = new AbortController();
    const listed = guest.list('/tmp/many', { signal: controller.signal });
    controller.abort();
    await expect(listed).rejects.toBe(controller.signal.reason);
    expect((await guest.list('/tmp')).length).toBe(1);
  });

  test('is made with its parents, and being there is fine where that was said', async () => {
    await expect(guest.mkdir('/tmp/x/y/z')).rejects.toMatchObject({ code: 'FileNotFound' });
    await guest.mkdir('/tmp/x/y/z', { parents: true });
    await guest.mkdir('/tmp/x/y/z/', { parents: true });
    await guest.mkdir('/tmp/x', { existOk: true });
    await guest.mkdir('/', { parents: true });
    await expect(guest.mkdir('/tmp/x')).rejects.toMatchObject({ code: 'AlreadyExists' });
    writeFileSync(outside('/tmp/x/file'), '');
    await expect(guest.mkdir('/tmp/x/file', { existOk: true })).rejects.toMatchObject({ code: 'AlreadyExists' });
    await expect(guest.mkdir('/tmp/x/file/y', { parents: true })).rejects.toMatchObject({ code: 'InvalidArgument' });
    await expect(guest.mkdir('/etc/x', { parents: true })).rejects.toMatchObject({ code: 'PermissionDenied' });
    expect((await guest.stat('/tmp/x/y')).mode).toBe(0o755);
  });
});

describe('a removal', () => {
  test('takes a file, a link or an empty directory, and more only where that was said', async () => {
    await guest.mkdir('/tmp/d/e', { parents: true });
    await guest.writeFile('/tmp/d/file', Buffer.from('x'));
    symlinkSync('d', outside('/tmp/link'));
    await expect(guest.remove('/tmp/d')).rejects.toMatchObject({ code: 'InvalidArgument' });
    await guest.remove('/tmp/link/');
    await guest.remove('/tmp/d/e');
    await guest.remove('/tmp/d/file');
    await guest.remove('/tmp/d');
    await expect(guest.remove('/tmp/d', { recursive: true })).rejects.toMatchObject({ code: 'FileNotFound' });
  });

  test('of a tree follows no link out of it', async () => {
    await guest.writeFile('/tmp/outside/kept', Buffer.from('x'), { makeParents: true });
    await guest.mkdir('/tmp/tree/a/b', { parents: true });
    symlinkSync('../../outside', outside('/tmp/tree/a/link'));
    symlinkSync('/tmp/outside/kept', outside('/tmp/tree/file'));
    await guest.remove('/tmp/tree', { recursive: true });
    expect((await guest.list('/tmp')).map(({ name }) => name)).toEqual(['outside']);
    expect((await guest.list('/tmp/outside')).map(({ name }) => name)).toEqual(['kept']);
  });

  test('takes trees that are wide, and deeper than any path can say', async () => {
    const script = `
      let at = '/tmp/deep'; fs.mkdirSync(at); process.chdir(at);
      for (let i = 0; i < 3000; i += 1) { fs.mkdirSync('below'); fs.writeFileSync('file', ''); process.chdir('below'); }
      process.chdir('/tmp'); fs.mkdirSync('wide');
      for (let i = 0; i < 3000; i += 1) { fs.mkdirSync('wide/' + i); fs.writeFileSync('wide/' + i + '/file', ''); }`;
    await run(guest, [process.execPath, '-e', script]);
    await guest.remove('/tmp/deep', { recursive: true });
    await guest.remove('/tmp/wide', { recursive: true });
    expect(await guest.list('/tmp')).toEqual([]);
  });

  test('stops at what cannot be removed, and when it is called off', async () => {
    await guest.writeFile('/tmp/d/locked/file', Buffer.from('x'), { makeParents: true });
    chmodSync(outside('/tmp/d/locked'), 0o500);
    await expect(guest.remove('/tmp/d', { recursive: true })).rejects.toMatchObject({
      code: 'PermissionDenied',
      details: { path: '/tmp/d' },
    });
    chmodSync(outside('/tmp/d/locked'), 0o700);
    const controller = new AbortController();
    const removed = guest.remove('/tmp/d', { recursive: true, signal: controller.signal });
    controller.abort();
    await expect(removed).rejects.toBe(controller.signal.reason);
    await guest.remove('/tmp/d', { recursive: true }).catch(() => undefined);
    await expect(guest.stat('/tmp/d')).rejects.toMatchObject({ code: 'FileNotFound' });
  });
});

test('many operations at once are answered each as it should', async () => {
  const paths = Array.from({ length: 500 }, (_, i) => `/tmp/at once/${i % 7}/${i}`);
  await Promise.all(paths.map((path) => guest.writeFile(path, Buffer.from(path), { makeParents: true })));
  const read = await Promise.all(paths.map((path) => guest.readFile(path, { maxBytes: 100 })));
  expect(read.map((bytes) => Buffer.from(bytes).toString())).toEqual(paths);
});

/** Out here: the only child of bwrap. */
function agentPid(): number {
  return Number(execFileSync('pgrep', ['-P', String(started.bubblewrap.pid)], { encoding: 'utf8' }));
}
