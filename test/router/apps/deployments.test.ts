import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeploymentRecord } from '../../../src/common/manifest.js';
import type { AppStore } from '../../../src/common/ports/store.js';
import { Deployments } from '../../../src/router/apps/deployments.js';
import { ManualClock } from '../../manual-clock.js';
import { account, Harness } from '../harness.js';

let cluster: Harness;
let clock: ManualClock;
/** What the store was asked, in order. */
let asked: Promise<DeploymentRecord | null>[];
let apps: AppStore;

beforeEach(async () => {
  cluster = await Harness.start();
  clock = new ManualClock();
  asked = [];
  const { store } = cluster;
  apps = {
    publish: (deployment) => store.apps.publish(deployment),
    list: (of) => store.apps.list(of),
    get: (...which) => {
      const answer = store.apps.get(...which);
      asked.push(answer);
      return answer;
    },
  };
});
afterEach(() => cluster[Symbol.asyncDispose]());

function start() {
  const deployments = new Deployments({ store: apps, clock });
  return { deployments, current: async () => (await deployments.current(account, 'shop'))?.version };
}

/** @param through absent: as another router does it */
async function redeploy(through: Pick<AppStore, 'publish'> = cluster.store.apps): Promise<void> {
  const record = await cluster.store.apps.get(account, 'shop');
  if (record === null) throw new Error('nothing is deployed');
  const { version: _version, ...deployment } = record;
  await through.publish(deployment);
}

describe('what is deployed', () => {
  it('is asked for again a moment after somebody needed it, and nobody waits for that', async () => {
    const { current } = start();
    expect(await current()).toBe(1);
    clock.advance(500);
    await redeploy();
    expect(await current()).toBe(1);
    expect(await current()).toBe(1);
    expect(asked).toHaveLength(1);
    clock.advance(20);
    expect(asked).toHaveLength(2);
    await Promise.all(asked);
    // A second after the first look the second one still holds.
    clock.advance(900);
    expect(await current()).toBe(2);
    expect(asked).toHaveLength(2);
  });

  it('is what was published here last, though an older look at the store ends after that', async () => {
    const { deployments, current } = start();
    expect(await current()).toBe(1);
    clock.advance(500);
    expect(await current()).toBe(1);
    const { get } = apps;
    const held = cluster.store.apps.get(account, 'shop');
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    apps.get = () => gate.then(() => held);
    clock.advance(20);
    apps.get = get;
    await redeploy(deployments);
    expect(await current()).toBe(2);
    open();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await current()).toBe(2);
  });

  it('is waited for where the last look is more than a second ago', async () => {
    const { current } = start();
    expect(await current()).toBe(1);
    await redeploy();
    clock.advance(1_001);
    expect(await current()).toBe(2);
    expect(clock.timers).toBe(0);
  });

  it('is what the store said, however often it fails beside', async () => {
    const { current } = start();
    expect(await current()).toBe(1);
    clock.advance(500);
    expect(await current()).toBe(1);
    const { get } = apps;
    apps.get = () => Promise.reject(new Error('away'));
    clock.advance(20);
    await Promise.resolve();
    expect(await current()).toBe(1);
    apps.get = get;
    await redeploy();
    clock.advance(1_000);
    expect(await current()).toBe(2);
  });
});
