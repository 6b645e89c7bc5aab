import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { coreOf, Client as SourceClient } from '../../../src/sdk/client.js';
import { EphemeralVolume } from '../../../src/sdk/volumes/ephemeral.js';
import { VolumeAccess } from '../../../src/sdk/volumes/volume-access.js';
import { codeOf, errorOf, until } from '../sandboxes/sandbox-world.js';
import { contentOf, filesOf, hashOf } from './volume-files.js';

const mebibyte = 1_048_576;

describe.each(['embedded', 'real'] as const)('volumes on a cluster that is %s', (mode) => {
  let cluster: TestCluster;
  let folder: string;
  let count = 0;
  const named = (options: Parameters<typeof Volume.fromName>[1] = {}) => {
    count += 1;
    return Volume.fromName(`v${count}`, { client: cluster.client, createIfMissing: true, ...options });
  };

  beforeAll(async () => {
    cluster = await startCluster({ mode, workers: 0 });
    folder = await mkdtemp(join(tmpdir(), 'holdfast-volume-files-'));
  }, 60_000);
  afterAll(async () => {
    await cluster?.close();
    await rm(folder, { recursive: true, force: true });
  }, 60_000);

  it('a file is read as it was written, from nothing to several chunks, as text, bytes or a stream', async () => {
    const volume = named();
    const big = randomBytes(9 * mebibyte);
    async function* pieces() {
      const reused = Buffer.alloc(100_000);
      for (let at = 0; at < big.length; at += reused.length) {
        const length = big.copy(reused, 0, at, Math.min(big.length, at + reused.length));
        yield reused.subarray(0, length);
      }
    }
    await volume.writeFile('empty', '');
    await volume.writeFile('/notes/a.txt', 'hello ü');
    await volume.writeFile('notes/bytes', Uint8Array.of(0, 255).buffer);
    await volume.writeFile('data/big', pieces());
    expect(await filesOf(volume)).toEqual({
      ...{ empty: hashOf(''), notes: 'directory', 'notes/a.txt': hashOf('hello ü') },
      ...{ 'notes/bytes': hashOf(Uint8Array.of(0, 255)), data: 'directory', 'data/big': hashOf(big) },
    });
    expect(await volume.listdir('data')).toMatchObject([
      { path: 'data/big', type: 'file', size: big.length, mode: 0o644 },
    ]);
  });

  it('a volume is found as it was made, and declared in each of the ways', async () => {
    const choice = { client: cluster.client };
    const made = await Volume.create('described', { ...choice, sizeGb: 2, mountPathDefault: '/cache' });
    expect(made).toMatchObject({ name: 'described', backend: 'cloud_bucket', mountPath: '/cache' });
    expect(made.mountedAt('/other').mountPath).toBe('/other');
    for (const found of [await Volume.get('described', choice), ...(await Volume.list(choice))]) {
      if (found.name === 'described') expect(found).toMatchObject({ backend: 'cloud_bucket', mountPath: '/cache' });
    }
    expect(Volume.cloud('described', { mountPath: '/here' })).toMatchObject({ name: 'described', mountPath: '/here' });
    await using brief = await Volume.ephemeral({ ...choice, prefix: 'brief', mountPath: '/scratch' });
    expect(brief.mountPath).toBe('/scratch');
    expect(brief.name).toMatch(/^brief-/);
    for (const wrong of [{ sizeGb: 0 }, { mountPathDefault: 'cache' }, { backend: 'disk' }, { geolocation: [1] }]) {
      expect(await codeOf(Volume.create('wrong', { ...choice, ...(wrong as object) }))).toBe('InvalidArgument');
    }
  });

  it('a volume is there for every client, is listed, made once, and gone once it is deleted', async () => {
    const choice = { client: cluster.client };
    const volume = await Volume.create('shared', { ...choice, sizeGb: 1 });
    expect(await codeOf(Volume.create('shared', choice))).toBe('AlreadyExists');
    await volume.writeFile('a', '1');
    await using other = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    expect((await contentOf(Volume.fromName('shared', { client: other }), 'a')).toString()).toBe('1');
    expect((await Volume.list(choice)).map(({ name }) => name)).toContain('shared');
    expect(await volume.delete()).toEqual({ deleted: true });
    expect(await volume.delete()).toEqual({ deleted: false });
    expect(await codeOf(volume.listdir())).toBe('NotFound');
    expect(await codeOf(Volume.get('shared', choice))).toBe('NotFound');
    expect((await Volume.get('shared', { ...choice, mintIfMissing: true })).name).toBe('shared');
    expect(await Volume.fromName('shared', choice).listdir()).toEqual([]);
  });

  it('what cannot be is refused, with the path and the volume', async () => {
    const volume = named();
    await volume.writeFile('file', 'x');
    await volume.writeFile('folder/in', 'x');
    for (const [attempt, code, words] of [
      [() => volume.writeFile('file/below', 'x'), 'InvalidArgument', '/file'],
      [() => volume.writeFile('folder', 'x'), 'InvalidArgument', '/folder'],
      [() => volume.writeFile('../out', 'x'), 'InvalidArgument', '..'],
      [() => volume.writeFile('', 'x'), 'InvalidArgument', 'root'],
      [() => contentOf(volume, 'nothing/here'), 'FileNotFound', 'nothing/here'],
      [() => contentOf(volume, 'folder'), 'InvalidArgument', 'directory'],
      [() => volume.listdir('file'), 'InvalidArgument', 'file'],
      [() => volume.removeFile('nothing'), 'FileNotFound', 'nothing'],
      [() => volume.removeFile('folder'), 'InvalidArgument', 'recursively'],
      [() => volume.copyFiles(['nothing'], 'x'), 'FileNotFound', 'nothing'],
      [() => volume.copyFiles(['folder'], 'file'), 'InvalidArgument', 'file'],
      [() => volume.restore('01ARZ3NDEKTSV4RRFFQ69G5FAV'), 'NotFound', 'history'],
    ] as const) {
      const error = await errorOf(attempt());
      expect(error.code).toBe(code);
      expect(error.message).toContain(words);
    }
    expect(await filesOf(volume)).toEqual({ file: hashOf('x'), folder: 'directory', 'folder/in': hashOf('x') });
    expect(() => Volume.fromName('a/b')).toThrow(/name of a volume/);
  });

  it('files are removed and copied, with all that is in a directory', async () => {
    const volume = named();
    await volume.writeFile('d/a', '1');
    await volume.writeFile('d/e/b', '2');
    await volume.copyFiles(['d'], 'copy');
    await volume.copyFiles(['d/a', 'd/e'], 'into');
    await volume.copyFiles(['d/a'], 'copy/e/');
    await volume.removeFile('d', { recursive: true });
    await volume.removeFile('into/e/b');
    expect(await filesOf(volume)).toEqual({
      ...{ copy: 'directory', 'copy/a': hashOf('1'), 'copy/e': 'directory', 'copy/e/b': hashOf('2') },
      ...{ 'copy/e/a': hashOf('1'), into: 'directory', 'into/a': hashOf('1'), 'into/e': 'directory' },
    });
  });

  it('a batch of local files is one commit, with modes, times, links and empty directories', async () => {
    const volume = named();
    const tree = join(folder, `tree-${mode}`);
    await mkdir(join(tree, 'empty'), { recursive: true });
    await writeFile(join(tree, 'run.sh'), 'exit 0');
    await chmod(join(tree, 'run.sh'), 0o750);
    await utimes(join(tree, 'run.sh'), 1_000, 1_234.5);
    await symlink('run.sh', join(tree, 'link'));
    const big = randomBytes(2 * mebibyte);
    await writeFile(join(tree, 'big'), big);
    const seen: [number, number][] = [];
    const names = ['empty', 'run.sh', 'link', 'big'];
    const commitId = await volume.batchUpload(
      names.map((name) => ({ local: join(tree, name), remote: `up/${name}` })),
      { onProgress: (done, total) => seen.push([done, total]) },
    );
    expect(seen.at(-1)).toEqual([big.length + 6, big.length + 6]);
    expect(await volume.history()).toMatchObject([{ commitId, files: 3, bytes: big.length + 6 }]);
    expect(await filesOf(volume)).toEqual({
      ...{ up: 'directory', 'up/empty': 'directory', 'up/link': 'symlink' },
      ...{ 'up/run.sh': hashOf('exit 0'), 'up/big': hashOf(big) },
    });
    const stats = new Map((await volume.listdir('up')).map((stat) => [stat.path, stat]));
    expect(stats.get('up/run.sh')).toMatchObject({ mode: 0o750, modifiedAt: new Date(1_234_500) });
    expect(await codeOf(volume.batchUpload([{ local: join(tree, 'none'), remote: 'x' }]))).toBe('FileNotFound');
    // A directory is all that is in it, also where some of that is named, too.
    const both = ['', '/big'].map((path) => ({ local: `${tree}${path}`, remote: `whole${path}` }));
    const whole = await volume.batchUpload(both);
    expect(await filesOf(volume, 'whole')).toEqual({
      ...{ 'whole/empty': 'directory', 'whole/link': 'symlink' },
      ...{ 'whole/run.sh': hashOf('exit 0'), 'whole/big': hashOf(big) },
    });
    expect([await volume.batchUpload([]), await volume.history()]).toEqual([
      whole,
      [expect.objectContaining({ commitId: whole }), expect.objectContaining({ commitId })],
    ]);
    expect(await named().batchUpload([])).toBe('');
  });

  it('what would be lost in a commit to something else of it is refused, and nothing is done', async () => {
    const volume = named();
    const [local, other] = ['one', 'other'].map((name) => join(folder, `${name}-${mode}`)) as [string, string];
    for (const path of [local, other]) await writeFile(path, path);
    await volume.batchUpload([{ local, remote: 'a/x' }]);
    await volume.copyFiles(['a/x'], 'b/x');
    const upload = (...remotes: string[]) => volume.batchUpload(remotes.map((remote) => ({ local, remote })));
    for (const lost of [
      ...[
        () =>
          volume.batchUpload([
            { local, remote: 'same' },
            { local: other, remote: './same' },
          ]),
        () => upload('w', 'w/x'),
        () => upload('w/y/z', 'w'),
      ],
      ...[() => volume.copyFiles(['a/x', 'b/x'], 'into'), () => volume.copyFiles('a/x' as never, 'y')],
      ...[null, [null], 'text', [{ local }], [{ local: 5, remote: 'a' }]].map(
        (wrong) => () => volume.batchUpload(wrong as never),
      ),
    ])
      expect(await codeOf(lost())).toBe('InvalidArgument');
    expect(await volume.history()).toHaveLength(2);
  });

  it('files have any name that a file system has, and no other', async () => {
    const volume = named();
    const names = ['a b', 'a\nb', '-rf', '...', 'back\\slash', 'x'.repeat(255), 'ü'.repeat(127)];
    await Promise.all(names.map((name) => volume.writeFile(`d/${name}`, name)));
    expect(new Set((await volume.listdir('d')).map(({ path }) => path.slice(2)))).toEqual(new Set(names));
    for (const name of names) expect((await contentOf(volume, `d/${name}`)).toString()).toBe(name);
    for (const wrong of [
      '',
      '/',
      '..',
      'a/../b',
      'x'.repeat(256),
      'ü'.repeat(128),
      'nul\0',
      '\ud800',
      'a/'.repeat(2_100),
      5,
    ])
      expect(await codeOf(volume.writeFile(wrong as string, ''))).toBe('InvalidArgument');
    expect(await volume.history()).toHaveLength(names.length);
  });

  it('a history is read, compared, restored and branched from, without any bytes being moved', async () => {
    const volume = named();
    const kept = randomBytes(300_000);
    await volume.writeFile('kept', kept);
    await volume.writeFile('old', '1');
    const [before] = await volume.history({ limit: 1 });
    await volume.writeFile('kept', 'overwritten');
    await volume.removeFile('old');
    await volume.writeFile('new/file', '2');
    const history = await volume.history();
    expect(history.map(({ message }) => message)).toEqual([
      ...['write new/file', 'remove old', 'write kept', 'write old', 'write kept'],
    ]);
    expect(await volume.diff(before?.commitId ?? '')).toEqual([
      { path: 'kept', change: 'modified' },
      { path: 'new', change: 'added' },
      { path: 'new/file', change: 'added' },
      { path: 'old', change: 'deleted' },
    ]);
    expect(await volume.diff(history[0]?.commitId ?? '', history[1]?.commitId)).toHaveLength(2);
    const branch = await volume.branch(`${volume.name}-branch`, { at: before?.commitId ?? '' });
    const was = { kept: hashOf(kept), old: hashOf('1') };
    expect(await filesOf(branch)).toEqual(was);
    const restored = await volume.restore(before?.commitId ?? '');
    expect((await volume.history({ limit: 1 }))[0]?.commitId).toBe(restored);
    expect(await filesOf(volume)).toEqual(was);
    await branch.writeFile('old', 'only here');
    await volume.delete();
    expect(await filesOf(branch)).toEqual({ ...was, old: hashOf('only here') });
    const gone = Volume.fromName(volume.name, { client: cluster.client });
    expect(await codeOf(gone.branch('other'))).toBe('NotFound');
    expect(await codeOf(branch.branch(branch.name))).toBe('AlreadyExists');
  });

  it('of many clients that write at once none loses a path', async () => {
    const volume = named();
    await using other = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const writers = [volume, Volume.fromName(volume.name, { client: other, createIfMissing: true })];
    const names = Array.from({ length: 12 }, (_, i) => `d${i % 3}/f${i}`);
    await Promise.all(names.map((name, i) => writers[i % 2]?.writeFile(name, name)));
    const files = await filesOf(volume);
    expect(names.map((name) => files[name])).toEqual(names.map((name) => hashOf(name)));
    expect(await volume.history()).toHaveLength(names.length);
  });

  it('an ephemeral volume is gone when it is disposed, or once its client renews its lease no more', async () => {
    const choice = { client: cluster.client };
    const names = async () => (await Volume.list(choice)).map(({ name }) => name);
    let name: string;
    {
      await using brief = await Volume.ephemeral({ ...choice, prefix: 'brief' });
      name = brief.name;
      await brief.writeFile('a', '1');
      expect(await names()).toContain(name);
    }
    expect(await names()).not.toContain(name);
    const dying = new SourceClient({ endpoint: cluster.endpoint, token: cluster.token });
    await EphemeralVolume.make(VolumeAccess.of(coreOf(dying)), `left-${mode}`, 1_000);
    await dying.close();
    const left = Volume.fromName(`left-${mode}`, choice);
    const isThere = () =>
      left.listdir().then(
        () => true,
        ({ code }) => code !== 'NotFound',
      );
    await until(async () => !(await isThere()));
  });

  it('what would be more than sizeGb is refused whole, with both numbers', async () => {
    const volume = named({ sizeGb: 0.001 });
    await volume.writeFile('a', randomBytes(1_000_000));
    const error = await errorOf(volume.writeFile('b', randomBytes(200_000)));
    expect(error).toMatchObject({ code: 'PayloadTooLarge', details: { bytes: 1_200_000, sizeGb: 0.001 } });
    expect(Object.keys(await filesOf(volume))).toEqual(['a']);
  });
});
