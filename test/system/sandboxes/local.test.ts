import { readdirSync, readFileSync } from 'node:fs';
import { App, type SandboxSession } from 'holdfast';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { codeOf, collect, exitOf, textOf, until } from './sandbox-world.js';

const app = new App('local-sandboxes');
const shell = app.sandbox({ name: 'shell', tasksPerContainer: 2, maxPendingTasks: 0 });
const small = app.sandbox({ name: 'small', memoryMb: 48 });
let session: SandboxSession;

beforeAll(async () => {
  session = await shell.local({ cwd: '/work', env: { A: 1 }, tags: ['t'] });
});

afterAll(async () => {
  await session?.close({ force: true });
});

describe('a session without a cluster', () => {
  test('is one as any other', async () => {
    expect(session).toMatchObject({ local: true, closed: false, sandbox: shell });
    expect(session.handle).toMatchObject({ kind: 'sandbox', account: 'local', app: 'local-sandboxes', name: 'shell' });
    expect(await session.pwd()).toBe('/work');
    expect(await session.writeText('a/b', 'hello', { makeParents: true })).toBe('/work/a/b');
    expect(await session.readText('a/b')).toBe('hello');
    expect((await session.exec('echo $A; pwd', { shell: true })).stdout).toBe('1\n/work\n');
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
    expect(await other.exists('/work/a/b')).toBe(false);
  });

  test('has processes, which count as commands', async () => {
    const child = await session.spawn('echo up; read line; echo "$line"; exit 5', { shell: true, stdin: 'down\n' });
    expect(await child.wait()).toMatchObject({ stdout: 'up\ndown\n', exitCode: 5 });
    const [one, two] = [await session.spawn(['sleep', '100']), await session.spawn(['sleep', '100'])];
    expect(await codeOf(session.exec('true'))).toBe('PendingLimitExceeded');
    const info = await session.inspect();
    expect(info).toMatchObject({ state: 'active', running: 2, cwd: '/work', tags: ['t'], workerId: null });
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

  test('is closed at the end of its lifetime, and when its memory is used up', async () => {
    const brief = await shell.local({ lifetimeMs: 100 });
    await until(async () => brief.closed);
    const greedy = await small.local();
    const bomb = greedy.exec('x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo $x', { shell: true });
    expect(await codeOf(bomb)).toBe('OutOfMemory');
    await until(async () => greedy.closed);
  });
});

function commandOf(pid: string): string {
  try {
    return String(readFileSync(`/proc/${pid}/cmdline`));
  } catch {
    return ''; // it has just ended
  }
}
