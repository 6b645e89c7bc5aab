import { expect, test } from 'vitest';
import { readAll } from '../../src/sdk/sandbox/files.js';
import type { SessionCalls } from '../../src/sdk/sandbox/session-calls.js';

test('a file without an end is refused as too large, and no longer read', async () => {
  const piece = new Uint8Array(65_536);
  let isLeft = false;
  async function* endless() {
    try {
      for (;;) yield piece;
    } finally {
      isLeft = true;
    }
  }
  const calls = { label: 'app/shell/one', stream: endless } as unknown as SessionCalls;
  await expect(readAll(calls, '/dev/zero')).rejects.toMatchObject({
    code: 'PayloadTooLarge',
    message: expect.stringContaining('use readStream or downloadFile'),
  });
  expect(isLeft).toBe(true);
});
