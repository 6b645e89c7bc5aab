import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { isHoldfastError } from '../../src/common/errors.js';
import { openLocalTar } from '../../src/sdk/images/local-tar.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-tar-'));
afterAll(() => rmSync(folder, { recursive: true }));
const long = `${'ä'.repeat(60)}/${'x'.repeat(200)}`;

function tree(name: string): string {
  const root = join(folder, name);
  mkdirSync(join(root, 'deep', 'empty'), { recursive: true });
  mkdirSync(join(root, 'ä'.repeat(60)));
  writeFileSync(join(root, 'b'), Buffer.alloc(513, 'b'));
  writeFileSync(join(root, 'a.sh'), 'a');
  writeFileSync(join(root, 'none'), '');
  writeFileSync(join(root, long), 'long');
  chmodSync(join(root, 'a.sh'), 0o700);
  symlinkSync('../b', join(root, 'deep/link'));
  symlinkSync('t'.repeat(300), join(root, 'deep/far'));
  return root;
}

async function bytesOf(path: string, name: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (await openLocalTar(path, name)).read()) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

test('a folder comes out of GNU tar as it was, with the modes that Git keeps', async () => {
  const out = join(folder, 'out');
  mkdirSync(out);
  execFileSync('tar', ['-x', '-C', out, '-f', '-'], { input: await bytesOf(tree('in'), '.') });
  const list = (root: string) =>
    execFileSync('find', ['.', '-printf', '%P %y %l %s\\n'], { cwd: root, encoding: 'utf8' })
      .split('\n')
      .map((line) => line.replace(/ d {2}\d+$/, ' d'))
      .sort();
  expect(list(out)).toEqual(list(join(folder, 'in')));
  expect(readFileSync(join(out, long), 'utf8')).toBe('long');
  const modes = execFileSync('stat', ['-c', '%a', 'a.sh', 'b', 'deep'], { cwd: out, encoding: 'utf8' });
  expect(modes).toBe('755\n644\n755\n');
});

test('the same files have the same hash, wherever and whenever they were written', async () => {
  const [one, two] = [tree('one'), tree('two')];
  utimesSync(join(one, 'b'), 1, 1);
  chmodSync(join(two, 'b'), 0o600);
  const { sha256 } = await openLocalTar(one, '.');
  expect((await openLocalTar(two, '.')).sha256).toBe(sha256);
  writeFileSync(join(two, 'b'), Buffer.alloc(513, 'c'));
  expect((await openLocalTar(two, '.')).sha256).not.toBe(sha256);
  expect((await openLocalTar(join(one, 'b'), 'x')).sha256).not.toBe((await openLocalTar(join(one, 'b'), 'y')).sha256);
});

test('what is not there, and what is no file, is refused by its path', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  for (const path of [join(folder, 'nowhere'), pipe]) {
    const refused = await openLocalTar(path, 'x').catch((e: unknown) => e);
    expect(isHoldfastError(refused, 'InvalidArgument') && refused.message).toContain(path);
  }
});
