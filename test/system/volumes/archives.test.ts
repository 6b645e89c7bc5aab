import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { App, type RemoteApp, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { type Headers, pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { codeOf } from '../sandboxes/sandbox-world.js';
import { contentOf, filesOf, hashOf } from './volume-files.js';

type VolumeApp = typeof import('../../fixtures/volume-app.js');
type Entry = readonly [header: Headers, content?: string | Buffer];

async function tarOf(...entries: readonly Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const [header, content = ''] of entries) tar.entry({ mtime: new Date(1_000_000_000_000), ...header }, content);
  tar.finalize();
  const pieces: Buffer[] = [];
  for await (const piece of tar) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

describe('volumes from archives', () => {
  let cluster: TestCluster;
  let folder: string;
  const choice = () => ({ client: cluster.client });

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'embedded', ...(canIsolate ? { isolation: 'bubblewrap' } : { workers: 0 }) });
    folder = await mkdtemp(join(tmpdir(), 'holdfast-archives-'));
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
    await rm(folder, { recursive: true, force: true });
  }, 120_000);

  it('hold what is in a tar or tar.gz, from a path, bytes or a stream', async () => {
    const long = `${'long/'.repeat(40)}name`;
    const tar = await tarOf(
      [{ name: './', type: 'directory' }],
      [{ name: 'bin/run', mode: 0o755 }, '#!/bin/sh'],
      [{ name: 'bin/', type: 'directory', mode: 0o700 }],
      [{ name: './rows.csv' }, 'a\nb\n'],
      [{ name: 'rows.csv' }, 'c\n'],
      [{ name: 'same', type: 'link', linkname: 'rows.csv' }],
      [{ name: 'bin/link', type: 'symlink', linkname: '../rows.csv' }],
      [{ name: long }, 'deep'],
      [{ name: 'none/', type: 'directory' }],
    );
    const path = join(folder, 'set.tar.gz');
    await writeFile(path, gzipSync(tar));
    async function* stream() {
      const packed = gzipSync(tar);
      for (let at = 0; at < packed.length; at += 1) yield packed.subarray(at, at + 1);
    }
    const made = [
      await Volume.fromArchive('from-path', path, choice()),
      await Volume.fromArchive('from-bytes', tar, choice()),
      await Volume.fromArchive('from-buffer', Uint8Array.from(gzipSync(tar)).buffer, choice()),
      await Volume.fromArchive('from-stream', stream(), choice()),
    ];
    for (const volume of made) {
      const files = await filesOf(volume);
      expect(files).toMatchObject({ 'rows.csv': hashOf('c\n'), same: hashOf('c\n'), none: 'directory' });
      expect(files[long]).toBe(hashOf('deep'));
      expect(await volume.listdir('bin')).toMatchObject([
        { path: 'bin/link', type: 'symlink' },
        { path: 'bin/run', type: 'file', mode: 0o755, modifiedAt: new Date(1_000_000_000_000) },
      ]);
      expect((await volume.listdir()).find((stat) => stat.path === 'bin')?.mode).toBe(0o700);
    }
    // A second time nothing is sent, and another archive does not take its place.
    const again = await Volume.fromArchive('from-path', tar, choice());
    expect((await contentOf(again, 'rows.csv')).toString()).toBe('c\n');
    expect(await codeOf(Volume.fromArchive('from-path', await tarOf([{ name: 'x' }, 'x']), choice()))).toBe(
      'AlreadyExists',
    );
  });

  it('refuse what would leave the root, is no file, or is damaged, and leave no volume', async () => {
    const whole = await tarOf([{ name: 'a' }, 'a'.repeat(10_000)]);
    const archives: readonly (Buffer | string)[] = [
      await tarOf([{ name: 'fine' }, 'x'], [{ name: '../evil' }, 'x']),
      await tarOf([{ name: 'a/../../evil' }, 'x']),
      await tarOf([{ name: '/etc/passwd' }, 'x']),
      await tarOf([{ name: 'a/up', type: 'symlink', linkname: '../../evil' }]),
      await tarOf([{ name: 'hard', type: 'link', linkname: '../evil' }]),
      await tarOf([{ name: 'hard', type: 'link', linkname: 'nowhere' }]),
      await tarOf([{ name: 'out', type: 'symlink', linkname: '/tmp' }], [{ name: 'out/evil' }, 'x']),
      await tarOf([{ name: 'a' }, 'x'], [{ name: 'a/b' }, 'x']),
      await tarOf([{ name: 'null', type: 'character-device', devmajor: 1, devminor: 3 }]),
      await tarOf([{ name: 'pipe', type: 'fifo' }]),
      whole.subarray(0, 5_000),
      gzipSync(whole).subarray(0, 60),
      Buffer.from('this is no archive'.repeat(100)),
    ];
    for (const [i, archive] of archives.entries()) {
      expect([i, await codeOf(Volume.fromArchive(`refused-${i}`, archive, choice()))]).toEqual([i, 'InvalidArgument']);
      expect([i, await codeOf(Volume.get(`refused-${i}`, choice()))]).toEqual([i, 'NotFound']);
    }
    expect(await codeOf(Volume.fromArchive('absent', join(folder, 'nowhere.tar'), choice()))).toBe('FileNotFound');
    expect(await codeOf(Volume.fromArchive('small', whole, { ...choice(), sizeGb: 1e-6 }))).toBe('PayloadTooLarge');
  });

  it.runIf(canIsolate)('are private copies in twenty sessions at once, whose writes do not cross', async () => {
    await cluster.deploy(new URL('../../fixtures/volume-app.ts', import.meta.url));
    const app: RemoteApp<VolumeApp> = await App.lookup<VolumeApp>('volumes-test', choice());
    const set = await Volume.fromArchive('data-set', await tarOf([{ name: 'rows.csv' }, 'a\nb\n']), choice());
    const sessions = await Promise.all(
      Array.from({ length: 20 }, () => app.work.create({ volumes: [set.mountedAt('/set')] })),
    );
    const said = await Promise.all(
      sessions.map(async (session, i) => {
        const script = `wc -l < /set/rows.csv; echo ${i} >> /set/rows.csv; echo ${i} > /set/mine; cat /set/mine`;
        const { stdout } = await session.exec(script, { shell: true, check: true });
        return `${stdout}${await session.readText('/set/rows.csv')}`;
      }),
    );
    expect(said).toEqual(sessions.map((_, i) => `2\n${i}\na\nb\n${i}\n`));
    const closed = await Promise.all(sessions.map((session) => session.close()));
    expect(closed.map(({ error }) => error)).toEqual(closed.map(() => undefined));
    expect(await filesOf(set)).toEqual({ 'rows.csv': hashOf('a\nb\n') });
  });
});
