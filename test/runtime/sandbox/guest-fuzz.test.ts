import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';

test('seconds of the fuzzer find nothing in the guest agent', () => {
  const seed = String(Math.floor(Math.random() * 1e9));
  const arguments_ = ['scripts/fuzz-guest.mjs', '--seconds', '6', '--seed', seed];
  const { status, stdout, stderr } = spawnSync(process.execPath, arguments_, { encoding: 'utf8' });
  expect(status, `seed ${seed}: ${stdout}${stderr}`).toBe(0);
});
