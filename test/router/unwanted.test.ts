import { expect, test } from 'vitest';
import { Harness, refusal } from './harness.js';

async function held(cluster: Harness): Promise<void> {
  const worker = cluster.workers[0];
  // Made, and closed again: what was placed does not stay.
  await expect.poll(() => [worker?.activated.length, worker?.held.length], { timeout: 60_000 }).toEqual([1, 0]);
}

test.each(['a cancel', 'its deadline', 'the end of its stream'])(
  'a fresh instance whose create ends by %s is closed',
  async (how) => {
    await using cluster = await Harness.start();
    const worker = cluster.workers[0];
    if (worker === undefined) throw new Error('there is no worker');
    let take = (): void => undefined;
    worker.beforePlace = () =>
      new Promise((resolve) => {
        take = resolve;
      });
    const client = cluster.client();
    const asked = refusal(client.create('', [], how === 'its deadline' ? 200 : undefined));
    await worker.placeReached;
    if (how === 'a cancel') client.cancel(client.lastId);
    if (how === 'the end of its stream') client.close();
    else expect(await asked).toMatchObject({ code: how === 'a cancel' ? 'Cancelled' : 'DeadlineExceeded' });
    take();
    await held(cluster);
  },
);

test('an instance of a name stays when the request that made it is cancelled: whoever asks for the name has it', async () => {
  await using cluster = await Harness.start();
  const worker = cluster.workers[0];
  if (worker === undefined) throw new Error('there is no worker');
  let take = (): void => undefined;
  worker.beforePlace = () =>
    new Promise((resolve) => {
      take = resolve;
    });
  const client = cluster.client();
  const asked = refusal(client.create('a', []));
  await worker.placeReached;
  client.cancel(client.lastId);
  await asked;
  take();
  const view = await client.create('a', []);
  expect(view.epoch).toBe(worker.held[0]?.epoch);
});
