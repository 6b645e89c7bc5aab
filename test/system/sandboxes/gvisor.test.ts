import { App, type RemoteApp, type SandboxSession, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, expect } from 'vitest';
import { gvisorTest, hasGvisor } from '../../gvisor-test.js';
import { type SandboxApp, until } from './sandbox-world.js';

let cluster: TestCluster;
let app: RemoteApp<SandboxApp>;

beforeAll(async () => {
  if (!hasGvisor) return;
  cluster = await startCluster({ mode: 'embedded', workers: [{ sandboxIsolation: 'gvisor' }] });
  await cluster.deploy(new URL('../../fixtures/sandbox-app.ts', import.meta.url));
  app = await App.lookup<SandboxApp>('sandboxes', { client: cluster.client });
});

afterAll(() => cluster?.close());

gvisorTest('a session that asks for gVisor has commands, files, terminals, kills and a way to be copied', async () => {
  await using session = await app.strong.create({ cwd: '/job', env: { A: 'b' } });
  const ran = await session.exec('echo $A; uname -r; pwd; exit 4', { shell: true });
  expect(ran).toMatchObject({ exitCode: 4, stdout: expect.stringMatching(/^b\n4\.4\.0\n\/job\n$/) });
  await session.writeText('kept', 'text');
  expect(await session.listdir('/job')).toEqual(['kept']);
  const { files } = await session.inspect();
  await session.writeBytes('three', new Uint8Array(3_000_000));
  const more = (await session.inspect()).files;
  expect([
    (more?.count ?? 0) - (files?.count ?? 0),
    Math.round(((more?.bytes ?? 0) - (files?.bytes ?? 0)) / 1e6),
  ]).toEqual([1, 3]);

  const limited = await session.exec('echo a; sleep 1000 & sleep 1000', { shell: true, timeoutMs: 1_000 });
  expect(limited).toMatchObject({ timedOut: true, stdout: 'a\n' });
  const child = await session.spawn(['head', '-n', '1'], { pty: { cols: 80, rows: 24 } });
  await child.write('typed\n');
  expect((await child.wait()).stdout).toContain('typed');

  const [fork] = await session.fork();
  expect(await fork?.readText('kept')).toBe('text');
  await fork?.close();
});

gvisorTest('one that ends leaves nothing that runs', async () => {
  const session = await app.strong.create();
  await session.spawn(['sleep', '1000']);
  await session.close({ force: true });
  await until(async () => (await cluster.client.workers())[0]?.containers === 0);
});

gvisorTest('a volume in gVisor has what a client and another session wrote, and keeps what is written', async () => {
  await cluster.deploy(new URL('../../fixtures/volume-app.ts', import.meta.url));
  const { client } = cluster;
  const volumes = await App.lookup<typeof import('../../fixtures/volume-app.js')>('volumes-test', { client });
  const shared = Volume.fromName('shared', { client });
  const say = async (session: SandboxSession, command: string): Promise<string> =>
    (await session.exec(command, { shell: true, check: true })).stdout;
  const session = await volumes.work.create();
  expect(await say(session, 'uname -r; mkdir -p /data/d; echo hello > /data/d/a; mv /data/d/a /data/d/b')).toBe(
    '4.4.0\n',
  );
  await session.close();
  await shared.writeFile('d/c', 'from a client');
  await using next = await volumes.work.create();
  // Its shell lists them: what `ls` of today asks for the runsc of Debian 12 does not know.
  expect(await say(next, 'cat /data/d/b /data/d/c; echo; echo /data/d/*')).toBe(
    'hello\nfrom a client\n/data/d/b /data/d/c\n',
  );
});
