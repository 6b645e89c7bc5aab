import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Home } from './holdfast.js';

let cluster: TestCluster;
let home: Home;
let folder: string;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded', workers: 0 });
  home = new Home();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-nfs-'));
}, 60_000);

afterAll(async () => {
  await home?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
  await cluster?.close();
});

const run = (...args: readonly string[]) =>
  home.run(['nfs', ...args], { env: { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token } });

async function out(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(...args);
  if (exitCode !== 0) throw new Error(`nfs ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  return stdout.trimEnd();
}

describe('holdfast nfs', () => {
  test('makes network file systems, lists them, and deletes them', async () => {
    expect(await out('ls', '--json')).toBe('[]');
    expect(await out('create', 'made')).toBe('created made');
    expect(await out('ls')).toBe('NFS\nmade');
    expect(JSON.parse(await out('ls', '--json'))).toEqual([{ name: 'made' }]);
    expect(await out('delete', 'made')).toBe('deleted made');
    expect(await run('delete', 'made')).toMatchObject({ exitCode: 3, stdout: '' });
    expect(await run('ls', 'made')).toMatchObject({ exitCode: 3, stdout: '' });
  });

  test('brings folders there and back, prints and removes files', async () => {
    const from = join(folder, 'from');
    mkdirSync(join(from, 'deep/empty'), { recursive: true });
    const big = randomBytes(3_000_001);
    writeFileSync(join(from, 'big'), big);
    writeFileSync(join(from, 'deep/zero'), '');
    symlinkSync('big', join(from, 'link'));
    const put = JSON.parse(await out('put', from, 'there', '--create', '--json'));
    expect(put).toEqual({ files: 2, bytes: 3_000_001 });
    await out('put', join(from, 'big'), 'there');
    expect(await out('put', `${from}/`, 'there:in/other')).toBe('2 files, 2.9 MiB');
    expect((await out('ls', '-r', 'there')).match(/\S+$/gm)).toEqual([
      ...['PATH', 'big', 'from/', 'from/big', 'from/deep/', 'from/deep/zero'],
      ...['in/', 'in/other/', 'in/other/big', 'in/other/deep/', 'in/other/deep/zero'],
    ]);
    const to = join(folder, 'to');
    await out('get', 'there:in/other', to);
    expect((readdirSync(to, { recursive: true }) as string[]).toSorted()).toEqual(['big', 'deep', 'deep/zero']);
    expect(readFileSync(join(to, 'big')).equals(big)).toBe(true);
    await out('get', 'there:from', to);
    await out('get', 'there:from/big', to);
    expect(readFileSync(join(to, 'from/big')).equals(big)).toBe(true);
    await out('get', 'there', join(folder, 'all'));
    expect(readdirSync(join(folder, 'all')).toSorted()).toEqual(['big', 'from', 'in']);
    writeFileSync(join(from, 'big'), 'text');
    await out('put', join(from, 'big'), 'there:from/big');
    expect(await out('cat', 'there:from/big')).toBe('text');
    expect(await run('rm', 'there:from')).toMatchObject({ exitCode: 2 });
    expect(await out('rm', '-r', 'there:from')).toBe('removed there:from');
    expect(await run('cat', 'there:from/big')).toMatchObject({ exitCode: 3 });
    expect(await run('get', 'there:from', to)).toMatchObject({ exitCode: 3 });
    expect(await run('put', join(folder, 'none'), 'there')).toMatchObject({ exitCode: 3 });
  });

  test('what is no network file system or no file of one is wrong usage, in one line', async () => {
    for (const args of [
      ['cat', 'nfs'],
      ['ls', '/etc'],
      ['put', 'only-one'],
      ['create', 'a b'],
    ]) {
      const { exitCode, stderr } = await run(...args);
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/^error InvalidArgument: .*\n$/);
    }
  });
});
