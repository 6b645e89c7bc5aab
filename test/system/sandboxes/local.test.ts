import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Image, isHoldfastError, type SandboxSession } from 'holdfast';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, collect, exitOf, textOf, until } from './sandbox-world.js';

const app = new App('local-sandboxes');
const shell = app.sandbox({ name: 'shell', tasksPerContainer: 2, maxPendingTasks: 0 });
const small = app.sandbox({ name: 'small', memoryMb: 48 });
let session: SandboxSession;

beforeAll(async () => {
  session = await shell.local({ cwd: '/job', env: { A: 1 }, tags: ['t'] });
});

afterAll(async () => {
  await session?.close({ force: true });
});

describe('a session without a cluster', () => {
  test('is one as any other', async () => {
    expect(session).toMatchObject({ local: true, closed: false, sandbox: shell });
    expect(session.handle).toMatchObject({ kind: 'sandbox', account: 'local', app: 'local-sandboxes', name: 'shell' });
    expect(await session.pwd()).toBe('/job');
    expect(await session.writeText('a/b', 'hello', { makeParents: true })).toBe('/job/a/b');
    expect(await session.readText('a/b')).toBe('hello');
    expect((await session.exec('echo $A; pwd', { shell: true })).stdout).toBe('1\n/job\n');
    expect(await codeOf(session.exec('no-such-program'))).toBe('FileNotFound');
    expect(await codeOf(session.readText('missing'))).toBe('FileNotFound');
    expect(await codeOf(session.exec('exit 3', { shell: true, check: true }))).toBe('CommandFailed');
    const events = await collect(session.execStream('echo one; exit 2', { shell: true }));
    expect([textOf(events), exitOf(events).exitCode]).toEqual(['one\n', 2]);
    expect(await session.exec('sleep 100', { timeoutMs: 100 })).toMatchObject({ timedOut: true });
    const large = Buffer.alloc(3_000_000, 7);
    await session.writeBytes('large', large);
    expect(Buffer.from(await session.readBytes('large')).equals(large)).toBe(true);
  });

  test('is isolated all the same', async () => {
    expect((await session.exec('id -u')).stdout.trim()).not.toBe(String(process.getuid?.() === 0 ? 0 : ''));
    const { stdout } = await session.exec('cat /proc/self/status');
    expect(stdout).toMatch(/^CapEff:\s+0+$/m);
    expect(stdout).toMatch(/^NoNewPrivs:\s+1$/m);
    expect(stdout).toMatch(/^Seccomp:\s+2$/m);
    await using other = await shell.local();
    expect(await other.exists('/job/a/b')).toBe(false);
  });

  test('has processes, which count as commands', async () => {
    const child = await session.spawn('echo up; read line; echo "$line"; exit 5', { shell: true, stdin: 'down\n' });
    expect(await child.wait()).toMatchObject({ stdout: 'up\ndown\n', exitCode: 5 });
    const [one, two] = [await session.spawn(['sleep', '100']), await session.spawn(['sleep', '100'])];
    expect(await codeOf(session.exec('true'))).toBe('PendingLimitExceeded');
    const info = await session.inspect();
    expect(info).toMatchObject({ state: 'active', running: 2, cwd: '/job', tags: ['t'], workerId: null });
    expect(info.processes.map(({ pid }) => pid)).toEqual([one.pid, two.pid]);
    for (const each of [one, two]) await each.kill('SIGKILL');
    await until(async () => (await session.inspect()).running === 0);
    expect((await session.exec('true')).exitCode).toBe(0);
  });

  test('is not one that can be attached to', async () => {
    expect(await codeOf(shell.attach(session.handle))).toBe('InvalidArgument');
  });

  test('ends with all that was of it, whatever runs', async () => {
    const other = await shell.local({ lifetimeMs: 60_000 });
    const child = await other.spawn(['sleep', '4711']);
    const waiting = codeOf(child.wait());
    expect((await other.close()).closed).toBe(true);
    expect(await waiting).toMatch(/Instance(Closed|Gone)|Cancelled/);
    expect((await other.close()).alreadyClosed).toBe(true);
    expect(await codeOf(other.exec('true'))).toBe('InstanceGone');
    const commands = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && commandOf(pid).includes('4711'));
    expect(commands).toEqual([]);
  });

  test('that sleeps keeps its files and what it remembers, loses its processes, and is woken by a call', async () => {
    const sleepy = await shell.local({ idleTimeoutMs: 50, cwd: '/job', env: { A: 1 } });
    await sleepy.writeText('note', 'kept');
    await sleepy.setEnv({ B: 2 });
    await sleepy.unsetEnv('LANG');
    await sleepy.chdir('/tmp');
    const first = await sleepy.inspect();
    expect(first.files?.count).toBeGreaterThan(0);
    await until(async () => (await sleepy.inspect()).state === 'idle');
    expect(await sleepy.inspect()).toMatchObject({ processes: [], memoryBytes: 0, files: null });
    const [note, where, env] = await Promise.all([sleepy.readText('/job/note'), sleepy.pwd(), sleepy.getEnv()]);
    expect([note, where]).toEqual(['kept', '/tmp']);
    expect(env).toMatchObject({ A: '1', B: '2' });
    expect(env).not.toHaveProperty('LANG');
    expect((await sleepy.inspect()).epoch).toBeGreaterThan(first.epoch);
    await until(async () => (await sleepy.inspect()).state === 'idle');
    expect(textOf(await collect(sleepy.execStream('cat /job/note', { shell: true })))).toBe('kept');
    await until(async () => (await sleepy.inspect()).state === 'idle');
    expect(await sleepy.close()).toMatchObject({ closed: true, alreadyClosed: false });
    expect(await codeOf(sleepy.readText('/job/note'))).toBe('InstanceGone');
  });

  test('does not fall asleep while a process that it has spawned runs', async () => {
    const busy = await shell.local({ idleTimeoutMs: 30 });
    const child = await busy.spawn('sleep 0.3; echo done', { shell: true });
    expect((await child.wait()).stdout).toBe('done\n');
    await until(async () => (await busy.inspect()).state === 'idle');
    await busy.close();
  });

  test('is closed while it falls asleep or wakes, and nothing of it is left', async () => {
    const before = disks();
    const sleepy = await shell.local({ idleTimeoutMs: 30 });
    await until(async () => (await sleepy.inspect()).state === 'idle');
    expect(disks()).toHaveLength(before.length + 1);
    const waking = sleepy.pwd().catch((e: unknown) => e);
    const closing = sleepy.close();
    expect((await closing).closed).toBe(true);
    expect(isHoldfastError(await waking)).toBe(true);
    expect(await codeOf(sleepy.pwd())).toBe('InstanceGone');
    expect(disks()).toEqual(before);
  });

  test('is forked, and its image is one for other sandboxes of this process', async () => {
    await session.writeText('/srv/origin', 'here');
    const [fork] = (await session.fork()) as [SandboxSession];
    expect([await fork.readText('/srv/origin'), await fork.pwd(), fork.local]).toEqual(['here', '/job', true]);
    const image = await session.snapshot();
    const other = app.sandbox({ name: 'other', image });
    await using imaged = await other.local();
    expect(await imaged.readText('/srv/origin')).toBe('here');
    expect(await codeOf(app.sandbox({ name: 'none', image: Image.fromId('0'.repeat(64)) }).local())).toBe('NotFound');
    await fork.close();
  });

  test('is closed at the end of its lifetime, and when its memory is used up', async () => {
    const brief = await shell.local({ lifetimeMs: 100 });
    await until(async () => brief.closed);
    const greedy = await small.local();
    const bomb = greedy.exec('x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo $x', { shell: true });
    expect(await codeOf(bomb)).toBe('OutOfMemory');
    await until(async () => greedy.closed);
  });
});

/** Of this process's sessions. */
function disks(): string[] {
  const folder = join(tmpdir(), 'holdfast-local/sandboxes');
  const boots = readdirSync(folder).filter((name) => name.includes(`-${process.pid}-`));
  return boots.flatMap((boot) => readdirSync(join(folder, boot, 'scratch'))).toSorted();
}

function commandOf(pid: string): string {
  try {
    return String(readFileSync(`/proc/${pid}/cmdline`));
  } catch {
    return ''; // it has just ended
  }
}
