import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { replaced } from '../../src/cli/commands/replaced-file.js';

test('a file is replaced whole, whatever its name is, and nothing is left where that fails', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-replaced-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  // The longest that file systems take.
  const local = join(folder, 'n'.repeat(255));
  for (const text of ['first', 'second']) {
    await replaced(local, async (part) => {
      await writeFile(part, text);
      expect(readdirSync(folder)).toHaveLength(text === 'first' ? 1 : 2);
    });
    expect(readFileSync(local, 'utf8')).toBe(text);
  }
  const failure = new Error('half way');
  const failing = replaced(local, async (part) => {
    await writeFile(part, 'half');
    throw failure;
  });
  await expect(failing).rejects.toBe(failure);
  expect(readdirSync(folder)).toEqual(['n'.repeat(255)]);
  expect(readFileSync(local, 'utf8')).toBe('second');
});
