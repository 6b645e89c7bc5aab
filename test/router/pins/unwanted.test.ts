import { expect, test } from 'vitest';
import { HoldfastError } from '../../../src/common/errors.js';
import { create } from '../../../src/router/pins/create.js';
import { OpenRequest } from '../../../src/router/service/request.js';
import { account, Harness, refusal } from '../harness.js';

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

test('a fresh instance whose caller leaves between its making and the answer is closed', async () => {
  await using cluster = await Harness.start();
  const [router] = cluster.routers;
  if (router === undefined) throw new Error('there is no router');
  const request = new OpenRequest({ kind: 'client', account, role: 'call' }, 60_000, router);
  const { views } = router;
  const of = views.of.bind(views);
  views.of = async (...pin) => {
    const view = await of(...pin);
    request.abort(new HoldfastError('Cancelled', 'its caller has left'));
    return view;
  };
  const op = { app: 'shop', className: 'Counter', id: '', sharedByArgs: false, args: undefined, session: undefined };
  expect(await refusal(create(router, op, request))).toMatchObject({ code: 'Cancelled' });
  await held(cluster);
});

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
