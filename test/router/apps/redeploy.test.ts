import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { Bus } from '../../../src/common/ports/bus.js';
import { Redeploys } from '../../../src/router/apps/redeploy.js';
import { classManifest } from '../bus-worker.js';
import { account, Harness, quietLog } from '../harness.js';

let cluster: Harness;

afterEach(() => cluster[Symbol.asyncDispose]());

describe('a deploy that restarts instances', () => {
  it('asks again where its router had lost the bus, and says only then that they are restarted', async () => {
    cluster = await Harness.start();
    const { store } = cluster;
    await cluster.client().create('a', [1]);
    await cluster.publish([classManifest('Counter')]);
    const deployment = await store.apps.get(account, 'shop');
    if (deployment === null) throw new Error('nothing is deployed');
    const real = cluster.connect();
    let asked = 0;
    const bus: Bus = {
      publish: (subject, payload) => real.publish(subject, payload),
      subscribe: (subject, onMessage) => real.subscribe(subject, onMessage),
      close: () => real.close(),
      get isConnected() {
        return asked > 1;
      },
      request: (...request) => {
        asked += 1;
        if (asked > 1) return real.request(...request);
        return Promise.reject(new HoldfastError('Unavailable', 'the bus is away', { outcome: 'not-run' }));
      },
    };
    const closed = new AbortController();
    const redeploys = new Redeploys({
      ...{ pins: store.pins, bus, clock: systemClock },
      log: quietLog,
      closed: closed.signal,
    });
    await redeploys.restart(deployment, ['Counter'], 60_000);
    const pin = await store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id: 'a' }));
    expect({ asked, state: pin?.state }).toEqual({ asked: 2, state: 'idle' });
  });
});
