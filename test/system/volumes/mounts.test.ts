import { readFileSync } from 'node:fs';
import { App, type RemoteApp, type SandboxSession, Volume } from 'holdfast';
import { startCluster, type TestCluster } from 'holdfast/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canIsolate } from '../../isolated-test.js';
import { codeOf, until } from '../sandboxes/sandbox-world.js';
import { mountProcesses } from './mount-processes.js';

type VolumeApp = typeof import('../../fixtures/volume-app.js');

describe.runIf(canIsolate)('volumes in containers', () => {
  let cluster: TestCluster;
  let app: RemoteApp<VolumeApp>;
  let shared: Volume;

  beforeAll(async () => {
    cluster = await startCluster({ mode: 'embedded', isolation: 'bubblewrap' });
    await cluster.deploy(new URL('../../fixtures/volume-app.ts', import.meta.url));
    app = await App.lookup<VolumeApp>('volumes-test', { client: cluster.client });
    shared = Volume.fromName('shared', { client: cluster.client });
  }, 120_000);

  afterAll(async () => {
    await cluster?.close();
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    expect(mounts.filter((line) => line.includes('fuse.holdfast') && line.includes(String(process.pid)))).toEqual([]);
  }, 120_000);

  const say = async (session: SandboxSession, command: string): Promise<string> =>
    (await session.exec(command, { shell: true, check: true })).stdout;
  /** Two sessions that commit only when they are told to. */
  const both = async () => {
    const sessions = [await app.manual.create(), await app.manual.create()] as [SandboxSession, SandboxSession];
    return Object.assign(sessions, {
      [Symbol.asyncDispose]: async () => {
        for (const session of sessions) await session.close();
      },
    });
  };
  const kept = async (path: string): Promise<string> => {
    const pieces: Uint8Array[] = [];
    for await (const piece of shared.readFile(path)) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  };

  it('shows a session the files of a volume, which it makes, and keeps what it wrote when it is closed', async () => {
    const session = await app.work.create();
    expect(await say(session, 'ls -A /data; mkdir -p /data/d; echo hello > /data/d/a; stat -c %U /data/d/a')).toBe(
      'user\n',
    );
    await session.close();
    expect(await kept('d/a')).toBe('hello\n');
    await shared.writeFile('d/b', 'from a client');
    await using next = await app.work.create();
    expect(await say(next, 'cat /data/d/a /data/d/b')).toBe('hello\nfrom a client');
  });

  it('commits by itself what a session goes on to write', async () => {
    await using session = await app.work.create();
    await session.writeText('/data/soon', 'soon');
    await until(async () => (await shared.listdir()).some(({ path }) => path === 'soon'));
    expect(await kept('soon')).toBe('soon');
  });

  it('commits and reloads from inside, with no network', async () => {
    await using sessions = await both();
    const [one, two] = sessions;
    await say(one, 'echo 1 > /data/first');
    const id = (await say(one, 'holdfast volume commit /data -m "from inside"')).trim();
    const [newest] = await shared.history({ limit: 1 });
    expect(newest).toMatchObject({ commitId: id, message: 'from inside' });
    expect(await say(two, 'ls /data/first 2>/dev/null || true')).toBe('');
    expect((await say(two, 'holdfast volume reload /data')).trim()).toBe(id);
    expect(await say(two, 'cat /data/first')).toBe('1\n');
    await say(two, 'echo 2 > /data/second');
    const refused = await two.exec('holdfast volume reload /data/second', { shell: true });
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('CommitConflict: ') });
    await say(two, 'holdfast volume reload /data --force');
    expect(await say(two, 'ls /data/second 2>/dev/null || true')).toBe('');
    const elsewhere = await one.exec('holdfast volume commit /tmp', { shell: true });
    expect(elsewhere).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('it is not in a volume') });
  });

  it('lets nobody write where it is read-only, and keeps private what is private', async () => {
    await shared.writeFile('known', 'known');
    await using looker = await app.lookers.create();
    expect(await say(looker, 'cat /data/known; touch /data/x 2>&1 || true')).toMatch(/^known.*Read-only file system/);
    const mine = await app.own.create();
    expect(await say(mine, 'cat /deep/er/known; echo mine > /deep/er/mine; rm /deep/er/known; ls /deep/er')).toContain(
      'mine',
    );
    await mine.close();
    const paths = (await shared.listdir()).map(({ path }) => path);
    expect(paths).toContain('known');
    expect(paths).not.toContain('mine');
  });

  it('gives a session that wakes the newest files, and commits when it falls asleep', async () => {
    await using session = await app.work.create({ idleTimeoutMs: 100 });
    await session.writeText('/data/before-sleep', 'x');
    await until(async () => (await session.inspect()).state === 'idle');
    await until(async () => (await shared.listdir()).some(({ path }) => path === 'before-sleep'));
    await shared.writeFile('while-asleep', 'y');
    expect(await session.readText('/data/while-asleep')).toBe('y');
  });

  it('gives a session volumes of its own beside those of its sandbox, and its forks the same', async () => {
    const { client } = cluster;
    const mine = Volume.fromName('session-own', { client, createIfMissing: true });
    await mine.writeFile('a', 'mine');
    await shared.writeFile('known', 'known');
    await using session = await app.work.create({ volumes: { '/own': mine.mount('/own') } });
    expect(await say(session, 'cat /own/a /data/known; echo new > /own/b; holdfast volume commit /own')).toMatch(
      /^mineknown/,
    );
    const [fork] = await session.fork();
    await using forked = fork as SandboxSession;
    expect(await say(forked, 'cat /own/b; holdfast volume name /own')).toBe('new\nsession-own\n');
    await using instead = await app.work.create({ volumes: [mine.mount('/data', { readOnly: true })] });
    expect(await say(instead, 'cat /data/a; touch /data/x 2>/dev/null || echo refused')).toBe('minerefused\n');
    expect(await codeOf(app.work.create({ volumes: { '/data/within': mine } }))).toBe('InvalidArgument');
    expect(await codeOf(app.work.create({ volumes: { '/': mine } }))).toBe('InvalidArgument');
    const missing = Volume.fromName('not-there', { client });
    expect(await codeOf(app.work.create({ volumes: { '/own': missing } }).then((one) => one.pwd()))).toBe('NotFound');
  });

  it('tells who closes a session what could not be committed', async () => {
    const { client } = cluster;
    const brief = await Volume.create('brief', { client });
    const session = await app.work.create({ volumes: { '/own': brief.mount('/own') } });
    await session.writeText('/own/a', 'lost');
    await brief.delete();
    const { closed, error } = await session.close();
    expect({ closed, error }).toEqual({ closed: true, error: expect.stringContaining('/own could not be committed') });
  });

  it('makes no session without its files', async () => {
    expect(await codeOf(app.broken.create())).toBe('NotFound');
    const volumes = { '/other': Volume.fromName('nowhere-either') };
    expect(await codeOf(app.work.create({ volumes }))).toBe('NotFound');
    await until(async () => {
      for await (const { state } of app.broken.list()) if (state !== 'closed') return false;
      return true;
    });
  });

  it('gives classes their volumes, too', async () => {
    const keeper = await app.Keeper.named('one');
    await keeper.write('by-class', 'kept');
    expect(await keeper.read('by-class')).toBe('kept');
    const { name, id } = await keeper.commit('by a class');
    expect(name).toBe('shared');
    expect((await shared.history({ limit: 1 }))[0]).toMatchObject({ commitId: id, message: 'by a class' });
    await shared.writeFile('for-class', 'newer');
    expect(await keeper.reloaded('for-class')).toBe('newer');
    expect(await keeper.commitElsewhere()).toBe('InvalidArgument');
    expect(await keeper.makeFromArchive()).toBe('made');
    await keeper.write('at-the-end', 'kept');
    await keeper.close();
    expect(await kept('at-the-end')).toBe('kept');
  });

  it('ends a session whose files are lost, and the next one has them', async () => {
    const session = await app.work.create();
    await session.writeText('/data/lost', 'x');
    for (const pid of mountProcesses()) process.kill(pid, 'SIGKILL');
    expect(await codeOf(session.exec('sleep 60', { shell: true }))).toMatch(/InstanceLost|OutcomeUnknown|Unavailable/);
    await using next = await app.work.create();
    expect(await say(next, 'cat /data/known')).toBe('known');
  });
});
