import { networkInterfaces } from 'node:os';
import { App } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../isolated-test.js';
import { ports, startNeighbour } from '../runtime/outbound/neighbour.js';

type WallsApp = typeof import('../fixtures/walls-app.js');

const neighbour = canIsolate ? await startNeighbour() : { address: '', own: '' };

describe.runIf(canIsolate)('a worker with isolation', () => {
  let cluster: TestCluster;
  let remote: Awaited<ReturnType<typeof App.lookup<WallsApp>>>;

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'real', workers: 1, isolation: 'bubblewrap', env: { GIVEN: 'yes' } });
    await cluster.deploy(new URL('../fixtures/walls-app.ts', import.meta.url));
    remote = await App.lookup<WallsApp>('walls-test', { client: cluster.client });
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
  }, 60_000);

  it('runs classes without the host around them', async () => {
    const prisoner = await remote.Prisoner.named('one');
    const seen = await prisoner.surroundings(new URL(import.meta.url).pathname);
    expect(seen).toMatchObject({ uid: 1000, privileges: '0000000000000000', file: 'ENOENT' });
    expect(seen.env).toContain('GIVEN');
    expect(seen.env.filter((name) => /REDIS|NATS|HOLDFAST/.test(name))).toEqual([]);
  });

  it('lets them reach other hosts, and neither the cluster nor this machine', async () => {
    const prisoner = await remote.Prisoner.named('two');
    expect(await prisoner.status(`http://${neighbour.address}:${ports.http}/`)).toBe(200);
    expect(await prisoner.reach(neighbour.address, ports.echo)).toBe('open');
    const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    const servers = [cluster.natsUrl, cluster.redisUrl, `tcp://${cluster.endpoint}`].map((url) => new URL(url ?? ''));
    for (const { hostname, port } of servers) {
      expect(await prisoner.reach(hostname, Number(port))).toBe('ECONNREFUSED');
      for (const address of own.filter((each) => each !== '127.0.0.1' && each !== '::1'))
        expect([address, await prisoner.reach(address, Number(port))]).toEqual([address, 'EACCES']);
    }
    expect(await prisoner.reach('169.254.169.254', 80)).toBe('EACCES');
  });

  it('lets instances call instances, as ever', async () => {
    const instance = await remote.Neighbour.named('asks');
    expect(await instance.ask('is asked')).toBe(1000);
  });
});
