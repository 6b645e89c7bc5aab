import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CountingProxy } from './counting-proxy.js';
import { Home } from './holdfast.js';

const mebibyte = 1_048_576;
let cluster: TestCluster;
let home: Home;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  cluster = await startCluster({ mode: 'embedded', workers: 0 });
  env = { HOLDFAST_ENDPOINT: cluster.endpoint, HOLDFAST_TOKEN: cluster.token };
  home = new Home();
  folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-volume-'));
}, 60_000);

afterAll(async () => {
  await home[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
  await cluster.close();
});

const run = (...args: readonly string[]) => home.run(['volume', ...args], { env });

async function out(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run(...args);
  if (exitCode !== 0) throw new Error(`volume ${args.join(' ')} ended with ${exitCode}: ${stderr}`);
  return stdout.trimEnd();
}

const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse(await out(...args, '--json')) as T;

/** Every file below a folder by its path; links by where they point. */
function tree(at: string): Record<string, string> {
  const entries = readdirSync(at, { recursive: true, withFileTypes: true });
  return Object.fromEntries(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const what = entry.isFile() ? readFileSync(path, 'base64') : entry.isDirectory() ? 'directory' : 'link';
      return [path.slice(at.length + 1), what];
    }),
  );
}

describe('holdfast volume', () => {
  test('makes volumes, lists them with what they hold, and deletes them', async () => {
    expect(await out('create', 'made', '--size-gb', '2')).toBe('created made');
    const again = await run('create', 'made');
    expect(again).toMatchObject({ exitCode: 7, stdout: '' });
    expect(again.stderr).toBe('error AlreadyExists: there is a volume made already\n');
    writeFileSync(join(folder, 'a'), 'hello');
    await out('put', join(folder, 'a'), 'made:x/a');
    expect(await json('ls')).toMatchObject([{ name: 'made', sizeGb: 2, files: 1, bytes: 5 }]);
    expect(await out('ls')).toMatch(/^VOLUME +FILES +SIZE +CHANGED\nmade +1 +5 B +\d{4}-/);
    expect(await out('ls', 'made', '-r')).toMatch(/ x\/\n.* x\/a$/);
    expect(await out('delete', 'made')).toBe('deleted made');
    const gone = await run('ls', 'made');
    expect(gone).toMatchObject({ exitCode: 3, stdout: '' });
    for (const line of gone.stderr.trimEnd().split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(await run('delete', 'made')).toMatchObject({ exitCode: 3 });
  });

  test('brings a folder there and back as it was, with modes, links and empty folders', async () => {
    const from = join(folder, 'from');
    mkdirSync(join(from, 'deep/empty'), { recursive: true });
    writeFileSync(join(from, 'deep/run'), 'exit 0', { mode: 0o750 });
    writeFileSync(join(from, 'zero'), '');
    writeFileSync(join(from, 'big'), randomBytes(9 * mebibyte));
    symlinkSync('deep/run', join(from, 'link'));
    const put = await json<{ files: number; bytes: number }>('put', from, 'back', '--create');
    expect(put).toMatchObject({ bytes: 9 * mebibyte + 6 });
    await out('put', `${from}/`, 'back:contents');
    const to = join(folder, 'to');
    mkdirSync(to);
    await out('get', 'back:from', to);
    expect(tree(join(to, 'from'))).toEqual(tree(from));
    expect(statSync(join(to, 'from/deep/run')).mode & 0o777).toBe(0o750);
    expect(statSync(join(to, 'from/big')).mtimeMs).toBeCloseTo(statSync(join(from, 'big')).mtimeMs, -1);
    await out('get', 'back', join(folder, 'all'));
    expect(tree(join(folder, 'all/contents'))).toEqual(tree(from));
    expect(await out('cat', 'back:contents/deep/run')).toBe('exit 0');
    await out('rm', '-r', 'back:from');
    expect(await run('cat', 'back:from/zero')).toMatchObject({ exitCode: 3 });
    const local = await run('put', join(folder, 'none'), 'back');
    expect(local).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('ENOENT') });
  });

  test('shows a history, what changed in it, goes back, branches, and collects what nothing needs', async () => {
    const file = join(folder, 'file');
    for (const content of ['one', 'two']) {
      writeFileSync(file, content.repeat(20_000));
      await out('put', file, 'past:file', '--create', '-m', content);
    }
    const [second, first] = await json<{ commitId: string; message: string }[]>('history', 'past');
    expect([first?.message, second?.message]).toEqual(['one', 'two']);
    expect(await out('diff', 'past', first?.commitId ?? '')).toBe('~ file');
    const table = await out('history', 'past');
    expect(table.split('\n')[0]).toMatch(/^COMMIT +AT +FILES +SIZE +MESSAGE$/);
    expect(await out('branch', 'past', 'branched', '--at', first?.commitId ?? '')).toBe('created branched');
    const restored = await out('restore', 'past', first?.commitId ?? '');
    expect(restored).toMatch(/^restored as [0-9A-Z]{26}$/);
    expect(await out('cat', 'past:file')).toBe('one'.repeat(20_000));
    const to = join(folder, 'older');
    await out('get', 'past:file', to, '--at', second?.commitId ?? '');
    expect(readFileSync(to, 'utf8')).toBe('two'.repeat(20_000));
    const swept = await json<{ removed: number; commitsForgotten: number }>('gc', '--keep', '1', '--keep-days', '0');
    expect(swept.commitsForgotten).toBeGreaterThanOrEqual(2);
    expect(swept.removed).toBeGreaterThan(0);
    expect(await json('history', 'past')).toHaveLength(1);
    expect(await out('cat', 'past:file')).toBe('one'.repeat(20_000));
    expect(await out('cat', 'branched:file')).toBe('one'.repeat(20_000));
    expect(await run('restore', 'past', second?.commitId ?? '')).toMatchObject({ exitCode: 3 });
  });

  test('an upload that was killed goes on where it was: what is there is not sent again', async () => {
    await using proxy = await CountingProxy.start(cluster.endpoint);
    const through = { ...env, HOLDFAST_ENDPOINT: proxy.address };
    const from = join(folder, 'many');
    mkdirSync(from);
    const count = 40;
    for (let i = 0; i < count; i++) writeFileSync(join(from, `f${i}`), randomBytes(mebibyte));
    await out('create', 'resumed');
    const put = ['volume', 'put', `${from}/`, 'resumed', '--json'];
    const killed = home.start(put, through);
    proxy.onSent = (bytes) => {
      if (bytes > 20 * mebibyte) killed.signal('SIGKILL');
    };
    expect(await killed.ended).toBeNull();
    proxy.onSent = () => undefined;
    expect(await json('history', 'resumed')).toEqual([]);
    const again = async () => {
      const before = proxy.sent;
      const { stdout, exitCode } = await home.run(put, { env: through });
      expect(exitCode).toBe(0);
      const { sentBytes } = JSON.parse(stdout) as { sentBytes: number };
      return { sentBytes, seen: proxy.sent - before };
    };
    // Of the 20 MiB that were sent some were on their way, six objects at once.
    const second = await again();
    expect(second.seen).toBeLessThan(30 * mebibyte);
    expect(second.seen).toBeGreaterThan(second.sentBytes);
    const third = await again();
    expect(third.seen).toBeLessThan(mebibyte);
    const to = join(folder, 'resumed');
    await out('get', 'resumed', to);
    expect(tree(to)).toEqual(tree(from));
  });

  test('what is no volume or no file of one is wrong usage, in one line', async () => {
    for (const args of [
      ['cat', 'volume'],
      ['ls', '/etc'],
      ['put', 'only-one'],
      ['diff', 'v', 'a', 'b', 'c'],
      ['create', 'a b'],
    ]) {
      const { exitCode, stderr } = await run(...args);
      expect(exitCode).toBe(2);
      expect(stderr).toMatch(/^error InvalidArgument: .*\n$/);
    }
  });
});
