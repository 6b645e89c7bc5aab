import { App, isHoldfastError, Sandbox, SandboxSession } from 'holdfast';
import { describe, expect } from 'vitest';
import { sessionMethodNames } from '../../../src/sdk/sandbox/session-method-names.js';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, collect, errorOf, sandboxWorld, until } from './sandbox-world.js';

const world = sandboxWorld();

describe('a sandbox', () => {
  test('is known by its declaration, by its name, and by its export', async () => {
    const { app, cluster } = world;
    const byName = await Sandbox.fromName('sandboxes', 'shell', { client: cluster.client });
    for (const sandbox of [byName, app.shell, app.sandbox('shell')]) {
      expect(sandbox).toMatchObject({ name: 'shell', appName: 'sandboxes', tags: ['a'], metadata: { any: 1 } });
      expect(sandbox.signature).toBe('(options = {})');
    }
    expect(await codeOf(Sandbox.fromName('sandboxes', 'Interpreter', { client: cluster.client }))).toBe('NotFound');
    expect(() => app.sandbox('none')).toThrow(/it has: shell/);
    expect(() => app.cls('shell')).toThrow(/it is a sandbox/);
  });

  test('tells what is deployed of it', async () => {
    await using _session = await world.app.double.create();
    const info = await world.app.double.inspect();
    expect(info).toMatchObject({ appName: 'sandboxes', name: 'double', deployment: 1, liveSessions: 1 });
    expect(info.options).toMatchObject({ tasksPerContainer: 2, maxPendingTasks: 1, onLoss: 'fail' });
  });

  test('can be used by a class, through its worker', async () => {
    const interpreter = await world.app.Interpreter.named('one');
    expect(await interpreter.compute('6 * 7')).toBe('42');
  });
});

describe('a session', () => {
  test('has the methods that it says it has', async () => {
    await using session = await world.app.shell.create();
    expect(session.methodNames).toEqual(sessionMethodNames);
    const methods = Object.getOwnPropertyNames(SandboxSession.prototype).filter((name) => {
      const { value } = Object.getOwnPropertyDescriptor(SandboxSession.prototype, name) ?? {};
      return typeof value === 'function' && !['constructor', 'hasMethod'].includes(name);
    });
    expect([...session.methodNames].toSorted()).toEqual(methods.toSorted());
    expect([session.hasMethod('exec'), session.hasMethod('execute')]).toEqual([true, false]);
  });

  test('is made once for a name, joined without options, and refused with others', async () => {
    const first = await world.app.shell.named('shared', { cwd: '/job', env: { A: 1 } });
    await first.writeText('note', 'hello');
    const joined = await world.app.shell.named('shared');
    expect(await joined.readText('note')).toBe('hello');
    const again = await world.app.shell.named('shared', { env: { A: '1' }, cwd: '/job' });
    expect(again.id).toBe(first.id);
    const refused = await errorOf(world.app.shell.named('shared', { cwd: '/other' }));
    expect(refused.code).toBe('InstanceConflict');
    expect(await codeOf(world.app.shell.closeNamed('shared', { cwd: '/other' }))).toBe('InstanceConflict');
    expect(await world.app.shell.closeNamed('shared', { cwd: '/job', env: { A: 1 } })).toMatchObject({ closed: true });
    expect(await codeOf(joined.pwd())).toBe('InstanceGone');
  });

  test('starts where it is told, with its variables, and keeps what is changed', async () => {
    await using session = await world.app.shell.create({ cwd: '/job/deep', env: { NAME: 'Ada', N: 3, GONE: true } });
    expect(await session.pwd()).toBe('/job/deep');
    expect((await session.exec('pwd')).stdout).toBe('/job/deep\n');
    expect((await session.exec('echo $NAME $N', { shell: true })).stdout).toBe('Ada 3\n');
    expect(await session.updateEnv({ MORE: 1.5 })).toMatchObject({ NAME: 'Ada', MORE: '1.5' });
    expect(await session.setEnv({ NAME: 'Grace' })).toMatchObject({ NAME: 'Grace', N: '3' });
    const left = await session.unsetEnv('GONE', 'N', 'LANG');
    expect(Object.keys(left)).not.toContain('GONE');
    expect((await session.exec('env')).stdout).not.toMatch(/^(GONE|N|LANG)=/m);
    expect(await session.getEnv()).toEqual(left);
    expect(await session.chdir('..')).toBe('/job');
    expect(await session.listdir()).toEqual(['deep']);
    expect((await session.exec(['pwd'], { cwd: 'deep' })).stdout).toBe('/job/deep\n');
    expect(await codeOf(session.chdir('nowhere'))).toBe('FileNotFound');
    await session.writeText('file', '');
    expect((await errorOf(session.chdir('file'))).message).toContain('not a directory');
    expect(await session.pwd()).toBe('/job');
  });

  test('is refused with options that are none, and does not start where it cannot', async () => {
    expect(await codeOf(world.app.shell.create({ cwd: '' }))).toBe('InvalidArgument');
    expect(await codeOf(world.app.shell.named('', {}))).toBe('InvalidArgument');
    const inFile = await world.app.shell.create({ cwd: '/etc/passwd/x' });
    const refused = await errorOf(inFile.pwd());
    expect(refused.message).toContain('/etc/passwd');
    const wrongHost = await world.app.shell.create({ network: { outbound: ['no/host'] } });
    expect(await codeOf(wrongHost.pwd())).toBe('InvalidArgument');
  });

  test('is attached to from a handle by another client, which lets go of it only', async () => {
    const { cluster, app } = world;
    await using session = await app.shell.create();
    await session.writeText('/tmp/a', 'from the first');
    const { Client } = await import('holdfast');
    await using client = new Client({ endpoint: cluster.endpoint, token: cluster.token });
    const other = await App.lookup<typeof import('../../fixtures/sandbox-app.js')>('sandboxes', { client });
    {
      await using attached = await other.shell.attach(session.handleJson);
      expect(await attached.readText('/tmp/a')).toBe('from the first');
      expect(attached.handle).toEqual(session.handle);
      expect(attached.handle.kind).toBe('sandbox');
    }
    expect(await session.readText('/tmp/a')).toBe('from the first');
    const forged = { ...session.handle, id: 'other' };
    expect(await codeOf(other.shell.attach(forged))).toBe('PermissionDenied');
    expect(await codeOf(other.single.attach(session.handle))).toBe('InvalidArgument');
    const { Cls } = await import('holdfast');
    expect(await codeOf(Cls.fromHandle(session.handle as never, { client }))).toBe('InvalidArgument');
  });

  test('is closed once, by itself, by its handle or at the end of its scope', async () => {
    const { shell } = world.app;
    const session = await shell.create();
    await session.exec('true');
    expect(session.closed).toBe(false);
    expect(await session.close()).toEqual({ closed: true, alreadyClosed: false, exitHook: 'none' });
    expect(session.closed).toBe(true);
    expect((await session.close()).alreadyClosed).toBe(true);
    expect(await codeOf(session.exec('true'))).toBe('InstanceGone');
    const other = await shell.create();
    expect((await shell.closeHandle(other.handle)).closed).toBe(true);
    expect(await codeOf(other.pwd())).toBe('InstanceGone');
    const scoped = await (async () => {
      await using owned = await shell.create();
      return owned;
    })();
    expect(scoped.closed).toBe(true);
  });

  test('is listed with its tags, and tells what runs in it', async () => {
    const { shell } = world.app;
    await using session = await shell.create({ tags: ['blue', 'one'], cwd: '/job' });
    await using other = await shell.create({ tags: ['blue'] });
    await Promise.all([session.pwd(), other.pwd()]);
    const child = await session.spawn(['sleep', '100']);
    const info = await session.inspect();
    expect(info).toMatchObject({ name: 'shell', state: 'active', cwd: '/job', tags: ['blue', 'one'], running: 1 });
    expect(info.processes).toMatchObject([{ pid: child.pid, command: ['sleep', '100'] }]);
    expect(info.processes[0]?.startedAt).toBeInstanceOf(Date);
    expect(info.memoryBytes).toBeGreaterThan(100_000);
    await session.exec('mkdir many && touch many/$(seq -s " many/" 100) && head -c 3000000 /dev/zero > large', {
      shell: true,
    });
    const { files } = await session.inspect();
    const grown = {
      count: (files?.count ?? 0) - (info.files?.count ?? 0),
      bytes: (files?.bytes ?? 0) - (info.files?.bytes ?? 0),
    };
    expect(grown).toMatchObject({ count: 102 });
    expect(Math.round(grown.bytes / 1e6)).toBe(3);
    const ids = async (options: Parameters<typeof shell.list>[0]) =>
      (await collect(shell.list(options))).map(({ id }) => id);
    expect(await ids({ tags: ['blue'] })).toEqual([session.id, other.id]);
    expect(await ids({ tags: ['blue', 'one'] })).toEqual([session.id]);
    expect(await ids({ tags: ['red'] })).toEqual([]);
    expect(await ids({ tags: ['blue'], limit: 1 })).toEqual([session.id]);
  });

  test('that sleeps keeps its files and what it remembers, loses its processes, and is woken by a call', async () => {
    const session = await world.app.shell.named('sleepy', { cwd: '/job', idleTimeoutMs: 150, env: { A: 1 } });
    await session.writeText('note', 'kept');
    await session.exec('mkdir -p /tmp/x && ln -s note link', { shell: true, check: true });
    await session.updateEnv({ B: 2 });
    await session.chdir('/tmp/x');
    await session.spawn(['sleep', '1000']);
    await until(async () => (await session.inspect()).state === 'idle');
    const asleep = await session.inspect();
    expect(asleep).toMatchObject({ processes: [], memoryBytes: 0, files: null, tags: [] });
    expect(await session.pwd()).toBe('/tmp/x');
    expect(await session.readText('/job/link')).toBe('kept');
    expect(await session.getEnv()).toMatchObject({ A: '1', B: '2' });
    expect((await session.exec(['ps', 'ax'])).stdout).not.toContain('sleep 1000');
    const awake = await session.inspect();
    expect(awake.epoch).toBeGreaterThan(asleep.epoch);
    expect(awake.generation).toBe(asleep.generation);
    await session.close();
  });

  test('that sleeps is closed without being woken', async () => {
    const session = await world.app.shell.create({ idleTimeoutMs: 100 });
    await session.writeText('/tmp/a', 'x');
    await until(async () => (await session.inspect()).state === 'idle');
    expect(await session.close()).toMatchObject({ closed: true, alreadyClosed: false });
    expect(await codeOf(session.readText('/tmp/a'))).toBe('InstanceGone');
  });

  test('is closed at the end of its lifetime, also while it sleeps or runs a command', async () => {
    const busy = await world.app.shell.create({ lifetimeMs: 700 });
    const running = codeOf(busy.exec(['sleep', '100']));
    const sleeping = await world.app.shell.create({ lifetimeMs: 700, idleTimeoutMs: 100 });
    await sleeping.pwd();
    await until(async () => (await sleeping.inspect()).state !== 'active');
    expect(await running).toBe('InstanceClosed');
    for (const ended of [busy, sleeping]) {
      await until(async () => (await ended.inspect()).state === 'closed');
      // Its worker may not have let go of it yet.
      expect(await codeOf(ended.pwd())).toMatch(/^Instance(Gone|Closed)$/);
    }
  });

  test('lets running commands finish at a close, and kills them where it must not wait', async () => {
    const polite = await world.app.shell.create();
    const finishing = polite.exec('sleep 0.3; echo done', { shell: true });
    await until(async () => (await polite.inspect()).running === 1);
    const [result, closed] = await Promise.all([finishing, polite.close()]);
    expect([result.stdout, closed.closed]).toEqual(['done\n', true]);
    const forced = await world.app.shell.create();
    const killed = errorOf(forced.exec(['sleep', '100']));
    await until(async () => (await forced.inspect()).running === 1);
    await forced.close({ force: true });
    expect((await killed).code).toBe('InstanceClosed');
  });

  test('does not let what it streams hold up its close', async () => {
    const session = await world.app.shell.create();
    const child = await session.spawn(['sleep', '100']);
    const reading = collect(child.output()).catch((e: unknown) => e);
    const watching = collect(session.watch('/tmp')).catch((e: unknown) => e);
    await until(async () => (await session.inspect()).running >= 3);
    expect((await session.close()).closed).toBe(true);
    for (const left of [await reading, await watching]) expect(isHoldfastError(left)).toBe(true);
  });
});
