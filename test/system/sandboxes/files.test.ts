import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileChange, SandboxSession } from 'holdfast';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, collect, errorOf, sandboxWorld } from './sandbox-world.js';

const world = sandboxWorld();
let session: SandboxSession;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-files-'));
  session = await world.app.shell.create({ cwd: '/job' });
});

afterAll(async () => {
  await session?.close();
  rmSync(folder, { recursive: true });
});

describe('a file of a session', () => {
  test('is text in any encoding, replaced or appended to', async () => {
    expect(await session.writeText('a.txt', 'Grüße 🙂\n')).toBe('/job/a.txt');
    expect(await session.readText('/job/a.txt')).toBe('Grüße 🙂\n');
    await session.writeText('a.txt', 'mehr', { append: true });
    expect(await session.readText('./a.txt')).toBe('Grüße 🙂\nmehr');
    await session.writeText('a.txt', 'é', { encoding: 'latin1' });
    expect([...(await session.readBytes('a.txt'))]).toEqual([0xe9]);
    expect(await session.readText('a.txt', { encoding: 'latin1' })).toBe('é');
    await session.writeText('b.txt', 'aGk=', { encoding: 'base64' });
    expect(await session.readText('b.txt')).toBe('hi');
    await session.writeText('empty', '');
    expect(await session.readText('empty')).toBe('');
    expect(await codeOf(session.readText('a.txt', { encoding: 'nope' as BufferEncoding }))).toBe('InvalidArgument');
    expect(await codeOf(session.writeText('a.txt', 5 as unknown as string))).toBe('InvalidArgument');
  });

  test('is bytes of any kind and size', async () => {
    for (const size of [0, 1, 65_000, 65_535, 65_536, 70_000, 1_000_000]) {
      const bytes = randomBytes(size);
      expect(await session.writeBytes('bytes', bytes)).toBe('/job/bytes');
      const back = await session.readBytes('bytes');
      expect(Buffer.from(back).equals(bytes)).toBe(true);
      expect(back.constructor).toBe(Uint8Array);
    }
    await session.writeBytes('bytes', new Uint8Array([1, 2]).buffer);
    await session.writeBytes('bytes', randomBytes(200_000), { append: true });
    expect((await session.stat('bytes')).size).toBe(200_002);
  });

  test('has the directories above it made only where that is wanted', async () => {
    expect(await codeOf(session.writeText('deep/er/file', 'x'))).toBe('FileNotFound');
    expect(await codeOf(session.writeBytes('deep/er/file', Buffer.alloc(100_000)))).toBe('FileNotFound');
    expect(await session.writeText('deep/er/file', 'x', { makeParents: true })).toBe('/job/deep/er/file');
    await session.writeBytes('deep/est/file', Buffer.alloc(100_000), { makeParents: true });
    expect(await session.listdir('deep')).toEqual(['er', 'est']);
  });

  test('says clearly what is wrong with it', async () => {
    const missing = await errorOf(session.readText('missing'));
    expect(missing.code).toBe('FileNotFound');
    expect(missing.message).toContain('/job/missing');
    expect(await codeOf(session.stat('missing'))).toBe('FileNotFound');
    await session.writeText('plain', 'x');
    expect((await errorOf(session.listdir('plain'))).message).toContain('not a directory');
    expect(await codeOf(session.listdir('plain'))).toBe('InvalidArgument');
    expect(await codeOf(session.readText('plain/below'))).toMatch(/InvalidArgument|FileNotFound/);
    expect(await codeOf(session.readText('/job'))).toBe('InvalidArgument');
    expect(await codeOf(session.writeText('/usr/bin/mine', 'x'))).toBe('PermissionDenied');
    for (const path of ['', 'a\0b', 5]) expect(await codeOf(session.readText(path as string))).toBe('InvalidArgument');
    expect(await codeOf(session.writeText('x'.repeat(300), ''))).toBe('InvalidArgument');
  });

  test('may have any name', async () => {
    const names = ['a b', 'new\nline', 'tab\t', 'quote\'"', '-rf', 'ünïcödé 🙂', 'x'.repeat(255), '$HOME', '*'];
    await session.mkdir('names');
    for (const name of names) await session.writeText(`names/${name}`, name);
    expect((await session.listdir('names')).toSorted()).toEqual(names.toSorted());
    for (const name of names) expect(await session.readText(`names/${name}`)).toBe(name);
    await session.remove('names', { recursive: true });
    expect(await session.exists('names')).toBe(false);
  });

  test('is there or not, links followed', async () => {
    await session.writeText('real', 'x');
    await session.exec('ln -s real link; ln -s nowhere dangling; ln -s loop loop', { shell: true });
    expect(await session.exists('link')).toBe(true);
    expect(await session.exists('dangling')).toBe(false);
    expect(await session.exists('real/below')).toBe(false);
    expect(await session.exists()).toBe(true);
    expect(await session.exists('/')).toBe(true);
  });

  test('tells what it is, and a link tells of itself', async () => {
    await session.writeText('stat', 'four');
    await session.exec('chmod 640 stat; ln -sf stat statlink; mkfifo pipe', { shell: true });
    const stat = await session.stat('stat');
    expect(stat).toMatchObject({ path: '/job/stat', type: 'file', size: 4, mode: 0o640 });
    expect(stat.modifiedAt).toBeInstanceOf(Date);
    expect(await session.stat('statlink')).toMatchObject({ type: 'symlink', path: '/job/statlink' });
    expect(await session.stat('.')).toMatchObject({ type: 'directory', path: '/job' });
    expect(await session.stat('pipe')).toMatchObject({ type: 'other' });
  });

  test('that is no file holds nobody up', async () => {
    expect(await codeOf(session.readText('pipe'))).toBe('InvalidArgument');
  });

  test('is moved and removed', async () => {
    await session.writeText('old', 'x');
    await session.rename('old', '/tmp/new');
    expect([await session.exists('old'), await session.readText('/tmp/new')]).toEqual([false, 'x']);
    await session.remove('/tmp/new');
    expect(await codeOf(session.remove('/tmp/new'))).toBe('FileNotFound');
    await session.remove('/tmp/new', { missingOk: true });
    await session.mkdir('full/of');
    expect(await codeOf(session.remove('full'))).toBe('InvalidArgument');
    await session.remove('full', { recursive: true });
    expect(await codeOf(session.rename('nothing', 'x'))).toBe('FileNotFound');
  });

  test('has directories that are made with or without those above', async () => {
    expect(await session.mkdir('one/two/three')).toBe('/job/one/two/three');
    expect(await session.mkdir('one')).toBe('/job/one');
    expect(await codeOf(session.mkdir('one', { existOk: false }))).toBe('AlreadyExists');
    expect(await codeOf(session.mkdir('no/parents', { parents: false }))).toBe('FileNotFound');
    expect(await session.listdir('one')).toEqual(['two']);
  });

  test('may be one of very many, which are listed in order', async () => {
    await session.exec('mkdir many; cd many; seq -f "file-%05g" 1 20000 | xargs touch', { shell: true, check: true });
    const names = await session.listdir('many');
    expect(names.length).toBe(20_000);
    expect(names).toEqual(names.toSorted());
    await session.remove('many', { recursive: true });
  });

  test('is nowhere but in its session', async () => {
    await using other = await world.app.shell.create();
    await session.writeText('/tmp/secret', 'mine');
    expect(await other.exists('/tmp/secret')).toBe(false);
    await session.exec('ln -s /proc/1/root/etc/shadow out; ln -s /proc/self/root/../../../etc/hostname above', {
      shell: true,
    });
    expect(await codeOf(session.readText('out'))).toMatch(/PermissionDenied|FileNotFound/);
    const inside = (await session.exec('cat /etc/hostname')).stdout;
    const above = await session.readText('../../../../../../etc/hostname').catch(() => '');
    expect(above).toBe(inside);
  });
});

describe('a file that is moved', () => {
  /** The whole gigabyte takes its time. */
  const isLarge = process.env['LARGE_FILES'] === '1';
  const size = isLarge ? 1_073_741_824 : 300_000_000;

  test('is streamed up and down with flat memory, and tells how far it is', async () => {
    const local = join(folder, 'large');
    const hash = createHash('sha256');
    const piece = randomBytes(1_048_576);
    writeFileSync(local, '');
    for (let at = 0; at < size; at += piece.length) {
      piece.writeUInt32LE(at / piece.length);
      const part = piece.subarray(0, size - at);
      hash.update(part);
      writeFileSync(local, part, { flag: 'a' });
    }
    const expected = hash.digest('hex');
    const before = process.memoryUsage().rss;
    let most = 0;
    const seen: number[] = [];
    const onProgress = (moved: number): void => {
      seen.push(moved);
      most = Math.max(most, process.memoryUsage().rss);
    };
    const startedAt = performance.now();
    expect(await session.uploadFile(local, 'up/large', { makeParents: true, onProgress })).toBe('/job/up/large');
    const sentAt = performance.now();
    expect(seen.at(-1)).toBe(size);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect((await session.exec('sha256sum up/large')).stdout).toContain(expected);
    seen.length = 0;
    const back = join(folder, 'deep/er/back');
    const askedAt = performance.now();
    expect(await session.downloadFile('up/large', back, { makeParents: true, onProgress })).toBe(back);
    const rate = (from: number, to: number): string => `${Math.round(size / 1_000 / (to - from))} MB/s`;
    if (isLarge) console.info(`up ${rate(startedAt, sentAt)}, down ${rate(askedAt, performance.now())}`);
    expect(seen.at(-1)).toBe(size);
    const read = createHash('sha256');
    for await (const chunk of createReadStream(back)) read.update(chunk as Buffer);
    expect(read.digest('hex')).toBe(expected);
    expect(most - before).toBeLessThan(200_000_000);
    await session.remove('up', { recursive: true });
  });

  test('is not begun where one side is not there', async () => {
    expect(await codeOf(session.uploadFile(join(folder, 'none'), 'x'))).toBe('FileNotFound');
    await expect(session.uploadFile(join(folder, 'none'), 'x')).rejects.toThrow(
      /cannot read .*none of this machine: ENOENT/,
    );
    expect(await codeOf(session.uploadFile(folder, 'a-folder'))).toBe('InvalidArgument');
    expect(await session.exists('a-folder')).toBe(false);
    await session.writeText('here', 'x');
    expect(await codeOf(session.downloadFile('here', join(folder, 'no', 'where')))).toBe('FileNotFound');
    writeFileSync(join(folder, 'small'), 'small');
    expect(await codeOf(session.uploadFile(join(folder, 'small'), 'no/where'))).toBe('FileNotFound');
    expect(await codeOf(session.downloadFile('missing', join(folder, 'missing')))).toBe('FileNotFound');
    expect(() => readFileSync(join(folder, 'missing'))).toThrow(/ENOENT/);
    expect(await codeOf(session.uploadFile(join(folder, 'small'), 'x', { progress: 1 } as never))).toBe(
      'InvalidArgument',
    );
  });

  test('stops where its disk is full, and says so', async () => {
    await using small = await world.app.small.create();
    const local = join(folder, 'too-large');
    writeFileSync(local, Buffer.alloc(200_000_000));
    expect(await codeOf(small.uploadFile(local, '/tmp/large'))).toBe('NoCapacity');
    expect((await small.exec('echo fine')).stdout).toBe('fine\n');
  });
});

describe('streams', () => {
  test('are read and written as the platform has them, at the reader’s pace', async () => {
    const writer = session.writeStream('streamed/file', { makeParents: true }).getWriter();
    for (let piece = 0; piece < 100; piece += 1) await writer.write(Buffer.alloc(10_000, piece));
    await writer.close();
    const reader = session.readStream('streamed/file').getReader();
    let bytes = 0;
    for (let step = await reader.read(); !step.done; step = await reader.read()) bytes += step.value.length;
    expect(bytes).toBe(1_000_000);
    const half = session.readStream('streamed/file').getReader();
    await half.read();
    await half.cancel();
  });

  test('that are given up leave what was written', async () => {
    const writer = session.writeStream('given-up').getWriter();
    await writer.write(Buffer.from('some'));
    await writer.abort();
    expect(['', 'some']).toContain(await session.readText('given-up'));
    const refused = session.writeStream('no/such/folder/file').getWriter();
    expect(await codeOf(refused.write(Buffer.from('x')))).toBe('FileNotFound');
    const missing = session.readStream('missing').getReader();
    expect(await codeOf(missing.read())).toBe('FileNotFound');
  });
});

describe('a directory that is watched', () => {
  test('tells what is made, changed, moved and removed in it, until nobody wants to know', async () => {
    await session.mkdir('watched/below');
    const seen: FileChange[] = [];
    const controller = new AbortController();
    const watching = (async () => {
      for await (const change of session.watch('watched', { recursive: true, signal: controller.signal })) {
        seen.push(change);
        if (change.path.endsWith('/last')) return;
      }
    })();
    // The first change tells that it watches.
    while (seen.length === 0) await session.writeText('watched/first', `${Date.now()}`);
    await session.writeText('watched/below/a', 'x');
    await session.rename('watched/below/a', 'watched/below/b');
    await session.remove('watched/below/b');
    await session.writeText('watched/last', '');
    await watching;
    const about = (name: string): string[] => seen.filter(({ path }) => path.endsWith(name)).map(({ type }) => type);
    expect(about('/below/a')).toContain('create');
    expect(about('/below/b')).toEqual(expect.arrayContaining(['rename', 'delete']));
    expect(seen.every(({ path }) => path.startsWith('/job/watched/'))).toBe(true);
    const aborted = codeOf(collect(session.watch('watched', { signal: controller.signal })));
    controller.abort();
    expect(await aborted).toBe('Cancelled');
    expect(await codeOf(collect(session.watch('nowhere')))).toBe('FileNotFound');
  });
});
