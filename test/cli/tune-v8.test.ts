import { expect, it } from 'vitest';
import { Home } from './holdfast.js';

/** V8 prints what it does not know, and goes on without it. */
it.each(['router', 'worker'])('a %s asks V8 for nothing that this Node does not know', async (server) => {
  await using home = new Home();
  expect(await home.run([server, '--help'])).toMatchObject({ exitCode: 0, stderr: '' });
});
