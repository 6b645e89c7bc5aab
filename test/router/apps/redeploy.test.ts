import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/adapters/system/clock.js';
import type { Clock } from '../../../src/common/clock.js';
import { HoldfastError } from '../../../src/common/errors.js';
import { instanceKey } from '../../../src/common/ids.js';
import type { DeploymentRecord } from '../../../src/common/manifest.js';
import type { Bus } from '../../../src/common/ports/bus.js';
import type { PinStore } from '../../../src/common/ports/store.js';
import { Redeploys } from '../../../src/router/apps/redeploy.js';
import { ManualClock } from '../../manual-clock.js';
import { classManifest } from '../bus-worker.js';
import { account, Harness, quietLog } from '../harness.js';

let cluster: Harness;

afterEach(() => cluster[Symbol.asyncDispose]());

describe('a deploy that restarts instances', () => {
  it('asks again where its router had lost the bus, and says only then that they are restarted', async () => {
    const deployment = await deployedAgain();
    const { store } = cluster;
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
    await redeploysWith({ pins: store.pins, bus }).restart(deployment, ['Counter'], 60_000);
    expect({ asked, state: await stateOfA() }).toEqual({ asked: 2, state: 'idle' });
  });

  it('asks again where its router had lost the store', async () => {
    const deployment = await deployedAgain();
    const { pins } = cluster.store;
    let listed = 0;
    const list: typeof pins.list = (...page) => {
      listed += 1;
      return listed > 1 ? pins.list(...page) : Promise.reject(new HoldfastError('Unavailable', 'the store is away'));
    };
    const bus = cluster.connect();
    await redeploysWith({ pins: { ...pins, list }, bus }).restart(deployment, ['Counter'], 60_000);
    expect({ isListedAgain: listed > 1, state: await stateOfA() }).toEqual({ isListedAgain: true, state: 'idle' });
  });

  it('S13: looks once more for what began on the version before while it was being told of', async () => {
    const deployment = await deployedAgain();
    const { pins } = cluster.store;
    let listed = 0;
    const list: typeof pins.list = async (...page) => {
      listed += 1;
      return listed > 1 ? pins.list(...page) : { pins: [], next: null };
    };
    const clock = new ManualClock();
    const redeploys = redeploysWith({ pins: { ...pins, list }, bus: cluster.connect() }, clock);
    await redeploys.restart(deployment, ['Counter'], 60_000);
    expect({ listed, state: await stateOfA() }).toEqual({ listed: 1, state: 'active' });
    while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
    clock.advance(4_000);
    await expect.poll(stateOfA).toBe('idle');
  });
});

/** An instance `a` runs on the version before. */
async function deployedAgain(): Promise<DeploymentRecord> {
  cluster = await Harness.start();
  await cluster.client().create('a', [1]);
  await cluster.publish([classManifest('Counter')]);
  const deployment = await cluster.store.apps.get(account, 'shop');
  if (deployment === null) throw new Error('nothing is deployed');
  return deployment;
}

function redeploysWith(parts: { readonly pins: PinStore; readonly bus: Bus }, clock: Clock = systemClock): Redeploys {
  return new Redeploys({ ...parts, clock, log: quietLog, closed: new AbortController().signal });
}

async function stateOfA(): Promise<string | undefined> {
  const pin = await cluster.store.pins.get(instanceKey({ account, app: 'shop', className: 'Counter', id: 'a' }));
  return pin?.state;
}
