import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeMasterKeyFile } from '../../src/cli/parts/secrets-kms.js';

it('a master key file is made once, however many routers of one program want it at the same time', async () => {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-keys-'));
  try {
    for (let round = 0; round < 30; round += 1) {
      const folder = join(home, String(round));
      const made = Array.from({ length: 8 }, async (_, i) => {
        for (let turn = 0; turn < i; turn += 1) await new Promise((resolve) => setImmediate(resolve));
        return makeMasterKeyFile(folder);
      });
      expect(new Set(await Promise.all(made))).toEqual(new Set([join(folder, 'master-key')]));
      expect(await readdir(folder)).toEqual(['master-key']);
    }
    const path = join(home, '0', 'master-key');
    const key = await readFile(path, 'utf8');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await makeMasterKeyFile(join(home, '0'));
    expect(await readFile(path, 'utf8')).toBe(key);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
