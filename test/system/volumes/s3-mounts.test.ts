import { randomBytes } from 'node:crypto';
import { App, type RemoteApp, type SandboxSession, Volume } from 'holdfast';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { S3FaultProxy } from '../../s3/fault-proxy.js';
import { startS3, type TestServer } from '../../servers.js';
import { type CliProcess, type ClusterProcesses, startClusterProcesses } from '../cluster-processes.js';
import { codeOf, until } from '../sandboxes/sandbox-world.js';

type InsideApp = typeof import('../../fixtures/inside-app.js');
type VolumeApp = typeof import('../../fixtures/volume-app.js');

describe.runIf(canIsolate)('volumes in containers, on NATS and Redis, with a bucket as the object store', () => {
  let s3: TestServer & { readonly bucket: string };
  let proxy: S3FaultProxy;
  let cluster: ClusterProcesses;
  let app: RemoteApp<VolumeApp>;
  let shared: Volume;
  let second: CliProcess | undefined;

  beforeAll(async () => {
    s3 = await startS3();
    proxy = await S3FaultProxy.start(s3.url);
    cluster = await startClusterProcesses({
      isolation: 'bubblewrap',
      objectStore: `s3://${s3.bucket}/here?endpoint=${proxy.endpoint}`,
      env: { AWS_ACCESS_KEY_ID: 'AKIDTEST', AWS_SECRET_ACCESS_KEY: 'secret/test+key' },
    });
    await cluster.deploy(new URL('../../fixtures/volume-app.ts', import.meta.url));
    app = await App.lookup<VolumeApp>('volumes-test', { client: cluster.client });
    shared = Volume.fromName('shared', { client: cluster.client });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await proxy?.[Symbol.asyncDispose]();
    await s3?.[Symbol.asyncDispose]();
  });

  const say = async (session: SandboxSession, command: string): Promise<string> =>
    (await session.exec(command, { shell: true, check: true })).stdout;
  const kept = async (path: string): Promise<string> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of shared.readFile(path)) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };

  it('are read and written by name from inside a class, whose worker moves the objects', async () => {
    const { client } = cluster;
    await cluster.deploy(new URL('../../fixtures/inside-app.ts', import.meta.url));
    const librarian = await (await App.lookup<InsideApp>('inside-test', { client })).Librarian.named('one');
    // A chunk that is one range long, and one that is shorter.
    const bytes = randomBytes(12 * 1_048_576);
    await librarian.write('by-name', 'big', bytes);
    expect(Buffer.compare(await librarian.read('by-name', 'big'), bytes)).toBe(0);
    const seen: Uint8Array[] = [];
    for await (const piece of Volume.fromName('by-name', { client }).readFile('big')) seen.push(piece);
    expect(Buffer.concat(seen).equals(bytes)).toBe(true);
    await librarian.close();
  });

  it('are committed by one session and seen by another, by classes and by clients; what is private stays so', async () => {
    const [one, two] = [await app.manual.create(), await app.manual.create()];
    await say(one, 'head -c 9000000 /dev/zero | tr "\\0" a > /data/big; echo 1 > /data/first');
    const id = (await say(one, 'holdfast volume commit /data -m "from inside"')).trim();
    expect((await shared.history({ limit: 1 }))[0]).toMatchObject({ commitId: id, message: 'from inside' });
    expect(await say(two, 'ls /data')).toBe('');
    expect((await say(two, 'holdfast volume reload /data')).trim()).toBe(id);
    expect(await say(two, 'cat /data/first; tr -d a < /data/big | wc -c; stat -c %s /data/big')).toBe(
      '1\n0\n9000000\n',
    );
    // Each changes another path of what both have: neither is lost.
    await say(
      one,
      'printf b | dd of=/data/big bs=1 seek=8500000 conv=notrunc status=none; holdfast volume commit /data',
    );
    await say(two, 'echo 2 > /data/second; holdfast volume commit /data');
    expect(await say(two, 'cat /data/first /data/second; tr -d a < /data/big')).toBe('1\n2\nb');
    const keeper = await app.Keeper.named('one');
    await keeper.write('by-class', 'kept');
    const { name } = await keeper.commit('by a class');
    expect([name, await keeper.read('second'), await kept('by-class')]).toEqual(['shared', '2\n', 'kept']);
    await using mine = await app.own.create();
    expect(await say(mine, 'echo mine > /deep/er/mine; rm /deep/er/first; ls /deep/er')).toBe(
      'big\nby-class\nmine\nsecond\n',
    );
    expect((await shared.listdir()).map(({ path }) => path)).toEqual(['big', 'by-class', 'first', 'second']);
    const listing = await (await fetch(`${s3.url}/${s3.bucket}?list-type=2`)).text();
    expect(listing).toMatch(/<Key>here\/volumes\/default\/[0-9a-f]{2}\/[0-9a-f]{64}<\/Key>/);
    for (const session of [one, two]) await session.close();
    await keeper.close();
  });

  it('let a command that commits end while the bucket stalls, and its session close; the commit is made all the same', async () => {
    const session = await app.hasty.create();
    await say(session, 'echo 4 > /data/left');
    let goOn = (): void => undefined;
    const goesOn = new Promise<null>((resolve) => {
      goOn = () => resolve(null);
    });
    const stopped = new AbortController();
    proxy.fault = ({ method, path }) => {
      if (method !== 'PUT' || !path.includes('/volumes/')) return null;
      setImmediate(() => stopped.abort());
      return goesOn;
    };
    try {
      const asked = session.exec('holdfast volume commit /data', { shell: true, signal: stopped.signal });
      expect(await codeOf(asked)).toBe('Cancelled');
      await say(session, 'while grep -qsx holdfast /proc/[0-9]*/comm; do sleep 0.01; done');
      expect((await session.close()).error).toContain('is not committed yet, after exitTimeoutMs of 1000');
      expect((await shared.listdir()).map(({ path }) => path)).not.toContain('left');
    } finally {
      goOn();
      proxy.fault = () => null;
    }
    await until(async () => (await shared.listdir()).some(({ path }) => path === 'left'));
    expect(await kept('left')).toBe('4\n');
    await shared.removeFile('left');
  });

  it('are there for the next worker, with what the last one committed as it was drained', async () => {
    const session = await app.work.create();
    await session.writeText('/data/at-the-end', 'kept');
    await cluster.worker.kill('SIGTERM');
    expect(await kept('at-the-end')).toBe('kept');
    second = await cluster.startWorker('second');
    await using next = await app.work.create();
    expect(await say(next, 'cat /data/at-the-end /data/second; tr -d a < /data/big')).toBe('kept2\nb');
  });

  it('are those of the last commit where a worker was killed', async () => {
    const session = await app.manual.create();
    await say(session, 'echo 3 > /data/committed; holdfast volume commit /data; echo x > /data/not-committed');
    await cluster.startWorker('third');
    await second?.kill();
    await using next = await app.manual.create();
    expect(await say(next, 'cat /data/committed; ls /data')).toBe(
      '3\nat-the-end\nbig\nby-class\ncommitted\nfirst\nsecond\n',
    );
  });
});
