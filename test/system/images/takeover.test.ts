import { Sandbox } from 'holdfast';
import { expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { ImageWorld, outputOf, stepsOf } from './image-world.js';

const world = new ImageWorld({ mode: 'real', workers: [{ id: 'a' }, { id: 'b' }] });

/** The worker on which images are being built is killed. */
async function killBuilder(): Promise<string> {
  const { client, workers } = world.cluster;
  const builder = await Sandbox.fromName('holdfast-images', 'builder', { client });
  for await (const { state, workerId } of builder.list()) {
    const worker = workers.find(({ id }) => id === workerId);
    if (state !== 'active' || worker === undefined) continue;
    await worker.kill('SIGKILL');
    return worker.id;
  }
  throw new Error('nobody builds');
}

test('the build of an image goes on at another worker when its own is killed, from the last step that was done', async () => {
  let killing: Promise<string> | null = null;
  const { app, progress } = await world.deploy(
    `const image = Image.host().run('date +%N > /opt/first').run('echo begun; sleep 6; date +%N > /opt/second');
    export const box = app.sandbox({ name: 'box', image });`,
    undefined,
    (event) => {
      if (event.type === 'output' && event.text.includes('begun')) killing ??= killBuilder();
    },
  );
  const killed = await killing;
  expect(['a', 'b']).toContain(killed);
  // What was told before is not told again, and the step that was broken off began anew.
  expect(stepsOf(progress).map((step) => step.slice(0, 2))).toEqual(['+0', '+1', '+2']);
  expect(outputOf(progress).match(/begun/g)).toHaveLength(2);
  await using session = await app.sandbox('box').create();
  expect((await session.inspect()).workerId).not.toBe(killed);
  expect(await session.listdir('/opt')).toEqual(['first', 'second']);
});
