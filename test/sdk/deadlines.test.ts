import { expect, test } from 'vitest';
import { Cls } from '../../src/sdk/index.js';
import { ManualClock } from '../manual-clock.js';
import type { Model } from './scripted-app.js';
import { ScriptedCluster } from './scripted-cluster.js';
import { outcome, turn } from './scripted-model.js';

test('a call that was cancelled just before its deadline does not wait for the answer beyond it', async () => {
  const clock = new ManualClock();
  const cluster = new ScriptedCluster(clock);
  const { worker } = cluster.place;
  worker.onCall = () => undefined;
  const cls = await Cls.fromName<typeof Model>('scripted', 'Model', { client: cluster.client });
  const instance = await cls.named('m');
  const abort = new AbortController();
  let settled = '';
  const call = outcome(instance.infer.with({ timeoutMs: 200, signal: abort.signal })(1));
  void call.then((how) => {
    settled = how;
  });
  await worker.received(1);
  clock.advance(150);
  abort.abort();
  // The deadline, and what the client grants the worker's own answer.
  clock.advance(200);
  await turn();
  expect(settled).toBe('Cancelled unknown');
  await cluster.client.close();
});
