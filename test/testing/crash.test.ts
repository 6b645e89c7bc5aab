import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { awaitEnd, type ProcessMark } from '../../src/cli/testing/process-tree.js';
import { privateTemporaryFolder } from './private-folder.js';

const program = fileURLToPath(new URL('./crashing-program.ts', import.meta.url));

test.each([
  ['real', 'running'],
  ['real', 'paused'],
  ['embedded', 'running'],
])('a program that is killed leaves nothing of its %s cluster, its worker %s', async (mode, worker) => {
  using folder = privateTemporaryFolder();
  const child = spawn(process.execPath, ['--import', 'tsx', program, mode, worker], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  const processes: ProcessMark[] = JSON.parse(line);
  expect(processes.length).toBeGreaterThan(1);
  expect(folder.clusterFolders()).toHaveLength(1);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await awaitEnd(processes, 30_000)).toEqual([]);
  expect(folder.clusterFolders()).toEqual([]);
});
