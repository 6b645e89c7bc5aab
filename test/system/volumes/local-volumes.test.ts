import { App, type RemoteApp, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { codeOf, errorOf } from '../sandboxes/sandbox-world.js';

type LocalApp = typeof import('../../fixtures/local-volume-app.js');

describe.runIf(canIsolate)('volumes of one host', () => {
  let cluster: TestCluster;
  let app: RemoteApp<LocalApp>;
  const choice = () => ({ client: cluster.client });

  beforeAll(async () => {
    const workers = ['a', 'b'].map((id) => ({ id, offer: { geolocation: id === 'a' ? 'US' : 'NO' } }));
    cluster = await startCluster({ mode: 'embedded', isolation: 'bubblewrap', workers });
    await cluster.deploy(new URL('../../fixtures/local-volume-app.ts', import.meta.url));
    app = await App.lookup<LocalApp>('local-volumes-test', choice());
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  }, 120_000);

  it('are bound to the host of their first placement, and keep what was written there', async () => {
    const first = await app.work.create();
    await first.exec('echo one > /cache/a; mkdir /cache/d; ln -s a /cache/link', { shell: true, check: true });
    const { workerId } = await first.inspect();
    await first.close();
    // Class containers and sessions are other users of the host; the files are of each of them.
    expect(await (await app.Notes.named('one')).add('x')).toBe('x');
    const others = await Promise.all(Array.from({ length: 4 }, () => app.work.create()));
    for (const session of others) {
      expect((await session.inspect()).workerId).toBe(workerId);
      const { stdout } = await session.exec('cat /cache/link /cache/notes; stat -c %U /cache/a; echo >> /cache/a', {
        shell: true,
        check: true,
      });
      expect(stdout.replaceAll('\n', ' ')).toMatch(/^one .*x.*user $/);
    }
    const full = await others[0]?.exec('dd if=/dev/zero of=/cache/big bs=1M count=100; rm /cache/big', { shell: true });
    expect(full?.stderr).toContain('No space left');
    for (const session of others) await session.close();
  });

  it('go where their geolocation says, one for each resource, and to no client', async () => {
    const there = await Volume.create('in-norway', {
      ...choice(),
      ...{ backend: 'vast_local', sizeGb: 0.02, geolocation: ['NO', 'SE'], mountPathDefault: '/fast' },
    });
    const mounted = await app.plain.create({ volumes: [there] });
    expect((await mounted.inspect()).workerId).toBe('b');
    await mounted.writeText('/fast/a', 'a');
    await mounted.close();
    const two = { '/fast': there, '/more': Volume.vastLocal('more', { sizeGb: 0.02 }) };
    expect(await codeOf(app.plain.create({ volumes: two }))).toBe('InvalidArgument');
    const copy = there.mount('/fast', { mode: 'private' });
    expect(await codeOf(app.plain.create({ volumes: [copy] }).then((one) => one.pwd()))).toBe('InvalidArgument');
    expect(await codeOf(there.listdir())).toBe('InvalidArgument');
    expect(await codeOf(there.writeFile('a', 'a'))).toBe('InvalidArgument');
    expect(await codeOf(Volume.create('no-size', { ...choice(), backend: 'vast_local' }))).toBe('InvalidArgument');
    expect((await Volume.get('in-norway', choice())).backend).toBe('vast_local');
  });

  it('of the object store draw instances to where they were used, which is told', async () => {
    const first = await app.Drawn.new();
    expect(await first.there()).toBe(true);
    const used = [(await first.explain()).placement.chosen];
    // Known to the router with the next heartbeat of its worker; until then instances go anywhere.
    for (let kept: readonly string[] = []; kept.length === 0; ) {
      await using next = await app.Drawn.new();
      const { placement } = await next.explain();
      kept = placement.kept;
      if (kept.length === 0) used.push(placement.chosen);
      else expect([used.includes(placement.chosen), kept]).toEqual([true, ['volume drawn']]);
    }
    await first.close();
  });

  it('are not to be had while their host is gone, which the error names', async () => {
    const host = cluster.workers.find(({ id }) => id === 'b');
    await host?.kill('SIGTERM');
    const there = Volume.fromName('in-norway', { mountPath: '/fast' });
    const error = await errorOf(app.plain.create({ volumes: [there] }));
    expect(error).toMatchObject({ code: 'VolumeUnavailable', details: { volume: 'in-norway', host: 'b' } });
    expect(error.message).toContain('worker b');
  });
});
