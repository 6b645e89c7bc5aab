import { App } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type KeeperApp = typeof import('../fixtures/keeper-app.js');

describe.each(['real', 'embedded'] as const)('alarms in a cluster of mode %s', (mode) => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startCluster({ mode, ...(mode === 'real' ? { routers: 2, workers: 2 } : {}) });
    await cluster.deploy(new URL('../fixtures/keeper-app.ts', import.meta.url));
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  }, 60_000);

  const sleeper = async (id: string) => {
    const app = await App.lookup<KeeperApp>('keeper-test', { client: cluster.client });
    return app.Alarmed.named(id);
  };

  it('A2: wakes an instance that sleeps', async () => {
    const instance = await sleeper('sleeper');
    await instance.chain(1_000, 3_000);
    const at = new Date(Date.now() + 3_000);
    expect(await instance.arm(at)).toEqual(at);
    // It falls asleep and is woken in another epoch; on a machine that is very busy it may ring before it slept.
    const { epoch } = await instance.inspect();
    while ((await instance.inspect()).epoch === epoch && Date.now() < at.getTime() + 5_000);
    // Its new activation may answer before it is told to ring.
    const [first] = await untilRung(instance, 1);
    expect(first).toEqual({ scheduledAt: at, attempt: 1 });
    await instance.close();
  });

  it('A2: is called again when it fails, and can set the next one', async () => {
    const instance = await sleeper('failing');
    await instance.failNext(1);
    const at = new Date(Date.now() - 1_000);
    await instance.arm(at);
    expect(await untilRung(instance, 2)).toEqual([
      { scheduledAt: at, attempt: 1 },
      { scheduledAt: at, attempt: 2 },
    ]);
    await instance.chain(3, 100);
    await instance.arm(new Date());
    expect(await untilRung(instance, 6)).toHaveLength(6);
  });

  it('A3: is not there for a class without a method for it, nor after it was deleted or its instance closed', async () => {
    const app = await App.lookup<KeeperApp>('keeper-test', { client: cluster.client });
    const keeper = await app.Keeper.named('without');
    await expect(keeper.arm(new Date())).rejects.toMatchObject({ cause: { code: 'InvalidArgument' } });
    const instance = await sleeper('deleted');
    await instance.arm(new Date(Date.now() + 3_600_000));
    await instance.disarm();
    expect(await instance.armedFor()).toBeNull();
    await instance.arm(new Date(Date.now() + 3_600_000));
    await instance.close();
    expect(await (await sleeper('deleted')).armedFor()).toBeNull();
  });

  it.runIf(mode === 'real')('A2: rings after kill -9 of its worker and of a router', async () => {
    const instance = await sleeper('orphan');
    await instance.arm(new Date(Date.now() + 1_500));
    const home = (await instance.inspect()).workerId;
    await cluster.workers.find(({ id }) => id === home)?.kill('SIGKILL');
    // The first one has this client.
    await cluster.routers[1]?.kill('SIGKILL');
    expect(await untilRung(instance, 1)).toHaveLength(1);
  });
});

interface Alarmed {
  rung(): Promise<readonly unknown[]>;
}

async function untilRung(instance: Alarmed, times: number): Promise<readonly unknown[]> {
  for (;;) {
    const rung = await instance.rung().catch(() => []);
    if (rung.length >= times) return rung;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
