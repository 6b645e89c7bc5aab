import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeMasterKeyFile } from '../../src/cli/parts/secrets-kms.js';

it('a master key file is made once, however many routers of one program want it at the same time', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-keys-'));
  try {
    const paths = await Promise.all(Array.from({ length: 8 }, () => makeMasterKeyFile(folder)));
    const [path] = paths;
    if (path === undefined) throw new Error('there is a path');
    const key = await readFile(path, 'utf8');
    expect(new Set(paths).size).toBe(1);
    expect(await readdir(folder)).toEqual(['master-key']);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await makeMasterKeyFile(folder);
    expect(await readFile(path, 'utf8')).toBe(key);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
