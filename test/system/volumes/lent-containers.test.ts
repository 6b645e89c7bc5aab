import { App, Secret, Volume } from 'holdfast';
import { startCluster } from 'holdfast/testing';
import { expect } from 'vitest';
import { isolatedTest } from '../../isolated-test.js';

type FilerApp = typeof import('../../fixtures/spread-volume-app.js');

isolatedTest(
  'P7: a container that is lent has the volumes and secrets of its class, and leaves no write behind',
  async () => {
    await using cluster = await startCluster({
      mode: 'real',
      isolation: 'bubblewrap',
      // Nowhere two: the second one is lent.
      workers: [{ maxContainers: 1 }, { maxContainers: 1 }],
    });
    const { client } = cluster;
    await Secret.set('LENT_TOKEN', 'known to both', { client });
    await cluster.deploy(new URL('../../fixtures/spread-volume-app.ts', import.meta.url));
    const remote = await App.lookup<FilerApp>('spread-volumes', { client });
    const filer = await remote.Filer.bind();
    const names = ['a', 'b'] as const;
    const distinct = (made: readonly { readonly container: string }[]): number =>
      new Set(made.map(({ container }) => container)).size;

    let written = await Promise.all(names.map((name) => filer.write(name, 500)));
    while (distinct(written) < 2) written = await Promise.all(names.map((name) => filer.write(name, 500)));
    expect(written.map(({ token }) => token)).toEqual(['known to both', 'known to both']);
    const { pool } = await filer.explain();
    expect(new Set(pool?.containers.map(({ workerId }) => workerId)).size).toBe(2);

    const read = await Promise.all(names.map(() => filer.read(names, 500)));
    expect(distinct(read)).toBe(2);
    for (const { texts } of read) expect(texts).toEqual(written.map(({ container }) => container));

    const leavers = new Set(await Promise.all(names.map((name) => filer.leave(name))));
    expect(leavers.size).toBe(2);
    expect(await filer.close()).toMatchObject({ closed: true });
    const volume = Volume.fromName('lent', { client });
    const left = async (): Promise<number> =>
      (await volume.listdir('')).filter(({ path }) => [...leavers].some((container) => path.includes(container)))
        .length;
    await expect.poll(left, { timeout: 120_000 }).toBe(2);
  },
);
