import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type HoldfastError, isHoldfastError, type SandboxExecResult, type SandboxSession } from 'holdfast';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { agentOf, leftOf, tracesOf, tracesOfNew } from './host-traces.js';
import { codeOf, collect, errorOf, fileIn, sandboxWorld, until } from './sandbox-world.js';

// What code inside a session may try, through the session as its callers have it. The walls themselves are attacked in
// test/runtime/isolation, the agent's frames in test/runtime/sandbox.
const world = sandboxWorld();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-outside-'));
const secret = join(folder, 'secret');
let session: SandboxSession;
let bystander: SandboxSession;

beforeAll(async () => {
  writeFileSync(secret, 'not for guests');
  session = await world.app.shell.create({ cwd: '/job' });
  bystander = await world.app.shell.create();
});

afterAll(async () => {
  for (const each of [session, bystander]) await each?.close({ force: true });
  rmSync(folder, { recursive: true });
});

/** The same worker answers another session meanwhile. */
async function besides<T>(work: Promise<T>): Promise<T> {
  const [done, other] = await Promise.all([work, bystander.exec('echo fine')]);
  expect(other.stdout).toBe('fine\n');
  return done;
}

function run(line: string, of = session): Promise<SandboxExecResult> {
  return besides(of.exec(line, { shell: true }));
}

/** Writes until it cannot. */
async function endlessly(to: SandboxSession): Promise<void> {
  const writer = to.writeStream('/tmp/endless').getWriter();
  for (;;) await writer.write(Buffer.alloc(1_000));
}

describe('files of a hostile session', () => {
  test('do not lead its callers out: links, .., /proc/self/root and /proc/1/root', async () => {
    const { stdout } = await run(
      `ln -s ${secret} absolute; ln -s ../../../../../..${secret} upwards; ln -s /proc/1/root${secret} root;
       ln -s ${folder} outside; mkdir real; ln -s real/../../../../../../..${folder} winding; ln ${secret} hard || echo none`,
    );
    expect(stdout).toBe('none\n');
    const paths = ['absolute', 'upwards', 'root', 'outside/secret', 'winding/secret', `../../../../..${secret}`];
    for (const path of [...paths, `/proc/self/root${secret}`, `/proc/1/root${secret}`, `/proc/1/cwd${secret}`]) {
      expect(await codeOf(session.readText(path))).toMatch(/^(FileNotFound|PermissionDenied)$/);
      expect(await codeOf(session.downloadFile(path, join(folder, 'down')))).toMatch(
        /^(FileNotFound|PermissionDenied)$/,
      );
      expect(await session.exists(path).catch(() => false)).toBe(false);
    }
    for (const path of ['outside/new', 'winding/new', 'root']) {
      expect(await codeOf(session.writeText(path, 'x'))).toMatch(/^(FileNotFound|PermissionDenied)$/);
      expect(await codeOf(session.writeBytes(path, Buffer.alloc(200_000)))).toMatch(
        /^(FileNotFound|PermissionDenied)$/,
      );
    }
    expect(await codeOf(session.listdir('outside'))).toBe('FileNotFound');
    expect(await codeOf(session.chdir('outside'))).toBe('FileNotFound');
    expect(await codeOf(collect(session.watch('winding')))).toBe('FileNotFound');
    expect(await codeOf(session.rename('real', 'outside/real'))).toBe('FileNotFound');
    await session.remove('outside', { recursive: true });
    expect([readdirSync(folder), readFileSync(secret, 'utf8')]).toEqual([['secret'], 'not for guests']);
  });

  test('made where a link is put in place of a directory stay inside', async () => {
    const swapping = await session.spawn(
      `mkdir -p swapped kept; while :; do mv swapped kept/s; ln -s ${folder} swapped; rm swapped; mv kept/s swapped; done`,
      { shell: true },
    );
    for (let i = 0; i < 200; i += 1) {
      await session.writeText('swapped/file', 'x', { makeParents: true }).catch((e: { code?: string }) => {
        expect(e.code).toMatch(/^(FileNotFound|AlreadyExists|InvalidArgument|PermissionDenied)$/);
      });
    }
    await besides(swapping.kill('SIGKILL'));
    await swapping.wait();
    expect(readdirSync(folder)).toEqual(['secret']);
  });

  test('that never end end with their reader', async () => {
    await run('ln -s /dev/zero result');
    const reader = session.readStream('result').getReader();
    for (let bytes = 0; bytes < 500_000; ) bytes += (await besides(reader.read())).value?.length ?? Infinity;
    await reader.cancel();
    await until(async () => (await session.inspect()).running === 0);
  });

  test('that are none hold nobody up: pipes, sockets, devices, the kernel’s own', async () => {
    await run('mkfifo pipe; perl -MIO::Socket::UNIX -e \'IO::Socket::UNIX->new(Local => "socket", Listen => 1)\'');
    for (const path of ['pipe', 'socket', '/dev/tty', '/proc/kmsg', '/dev/kmsg', '/dev/mem']) {
      expect([path, await codeOf(besides(session.readBytes(path)))]).toEqual([
        path,
        expect.stringMatching(/^(InvalidArgument|FileNotFound|PermissionDenied)$/),
      ]);
    }
    for (const path of ['pipe', 'socket', '/proc/sysrq-trigger', '/proc/1/mem', '/sys/power/state']) {
      expect([path, await codeOf(besides(session.writeText(path, 'x')))]).toEqual([
        path,
        expect.stringMatching(/^(InvalidArgument|FileNotFound|PermissionDenied)$/),
      ]);
    }
  });
});

describe('a hostile command', () => {
  test('finds nothing of the worker: no variable, no process, no descriptor but its own three', async () => {
    process.env['HOLDFAST_TEST_SECRET'] = 'of the worker';
    const { stdout } = await run(
      `cat /proc/1/environ /proc/self/environ | tr '\\0' '\\n'; ls /proc/self/fd; ls -l /proc/1/fd 2>&1; cat /proc/*/cmdline | tr '\\0' ' '`,
    );
    expect(stdout).not.toMatch(/of the worker|node|vitest|HOLDFAST/);
    const fds = (await run('ls /proc/self/fd')).stdout.split('\n').filter(Boolean);
    // The fourth is the folder that `ls` reads.
    expect(fds).toEqual(['0', '1', '2', '3']);
    expect((await run(`kill -9 ${process.pid}; kill -9 1; kill -STOP 1; echo x > /proc/1/mem; echo on`)).stdout).toBe(
      'on\n',
    );
    expect(await session.pwd()).toBe('/job');
  });

  test('makes no device, mount or namespace, and traces no one', async () => {
    const lines = [
      'mknod disk b 254 0',
      'mount -t tmpfs none /mnt',
      'mount --bind / /mnt',
      'mount -o remount,rw /usr',
      'umount /proc',
      'unshare -Urm true',
      'unshare -n true',
      'nsenter -t 1 -m true',
      'chroot / true',
      `perl -e 'exit(syscall(${process.arch === 'x64' ? 101 : 117}, 16, 1, 0, 0) == 0 ? 0 : 1)'`,
      'echo 1 > /proc/sys/kernel/sysrq',
      'echo x > /sys/fs/cgroup/memory/cgroup.procs || echo x > /sys/fs/cgroup/cgroup.procs',
    ];
    const ended = await Promise.all(
      lines.map(async (line) => [line, (await run(`${line} 2>/dev/null`)).exitCode === 0]),
    );
    expect(ended).toEqual(lines.map((line) => [line, false]));
  });

  test('meets no one outside through an abstract socket, and can pass no descriptor', async () => {
    const name = `holdfast-${process.pid}`;
    const server = createServer().listen(`\0${name}`);
    await once(server, 'listening');
    const connecting = `perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); exit(connect($s, pack_sockaddr_un("\\0${name}")) ? 0 : 7)'`;
    expect((await run(connecting)).exitCode).toBe(7);
    server.close();
    const listening = await bystander.spawn(
      `perl -MSocket -e 'socket(my $s, PF_UNIX, SOCK_STREAM, 0); bind($s, pack_sockaddr_un("\\0${name}")) and listen($s, 1); open(F, ">/tmp/up"); close F; sleep 1000'`,
      { shell: true },
    );
    await fileIn(bystander, '/tmp/up');
    expect((await run(connecting)).exitCode).toBe(7);
    await listening.kill('SIGKILL');
  });

  test('that ignores signals, closes what it has and makes itself a daemon is gone at its limit', async () => {
    const word = `100000.${process.pid}9`;
    const result = await besides(
      session.exec(
        `trap '' TERM INT HUP; exec 2>&- <&-; echo out; setsid sh -c "trap '' TERM; setsid sleep ${word} & setsid sleep ${word}" & touch up; exec >&-; sleep 1000`,
        { shell: true, timeoutMs: 1_000 },
      ),
    );
    expect(result).toMatchObject({ timedOut: true, signal: 'SIGKILL', stdout: 'out\n' });
    expect((await session.exec(['ps', 'ax'])).stdout).not.toContain(word);
    expect(() => tracesOf(word)).toThrow('no isolated process');
  });

  test('that prints without end keeps nobody waiting and no more than it may', async () => {
    const flood = await session.spawn('yes; true', { shell: true, maxOutputBytes: 1_000_000 });
    const both = await session.spawn('while :; do echo out; echo err >&2; done', { shell: true });
    const unread = session.execStream('yes')[Symbol.asyncIterator]();
    await unread.next();
    await unread.next();
    for (let i = 0; i < 20; i += 1) await besides(session.exists('/'));
    await Promise.all([flood.kill('SIGKILL'), both.kill('SIGKILL'), unread.return?.()]);
    const kept = await flood.wait();
    expect(kept.truncated).toBe(true);
    expect(kept.stdout.length).toBeLessThanOrEqual(1_000_000);
  });

  test('that forks without end is held back: its session goes on beside it, and it can be killed', async () => {
    await using stormy = await world.app.shell.create();
    await stormy.writeText('/tmp/before', 'kept');
    const word = `200000.${process.pid}9`;
    await stormy.spawn(['sleep', word]);
    const traces = await tracesOfNew(word);
    const agent = agentOf(traces);
    const files = ['cpu.cfs_quota_us', 'cpu.max'].flatMap((file) =>
      traces.cgroups.map((group) => join(group, '1', file)),
    );
    const left = files.find((file) => existsSync(file)) as string;
    const groups = (): string => readFileSync(`/proc/${agent}/cgroup`, 'utf8');
    expect(groups()).toMatch(/\/1$/m);
    const bomb = await stormy.spawn('bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done', { shell: true });
    // The agent goes on to another group, and the bomb has a hundredth of a core in the one that it left.
    await until(async () => /\/2$/m.test(groups()) && /^1000\b/.test(readFileSync(left, 'utf8')), groups);
    expect(await besides(stormy.readText('/tmp/before'))).toBe('kept');
    await besides(bomb.kill('SIGKILL'));
    await besides(bomb.wait());
    await until(async () => (await stormy.inspect()).processes.length === 1);
    expect((await run('echo on', stormy)).stdout).toBe('on\n');
  });

  test('that takes all processes, all disk or all memory there is takes its own, and each is told to its caller', async () => {
    const greedy = await world.app.small.create();
    const bomb = greedy.exec('bomb() { bomb | bomb & }; bomb; sleep 1000', { shell: true, timeoutMs: 2_000 });
    // Told in time, or that there was no process left for it.
    expect(await besides(bomb.catch(isHoldfastError))).not.toBe(false);
    await besides(greedy.close({ force: true }));
    await using full = await world.app.small.create();
    expect((await run('head -c 1G /dev/zero > /tmp/big', full)).stderr).toContain('No space left');
    expect(await codeOf(besides(full.writeBytes('/tmp/more', Buffer.alloc(1_000_000))))).toBe('NoCapacity');
    const filled = await run('mkdir /tmp/many; cd /tmp/many; i=0; while : > f$i; do i=$((i+1)); done', full);
    expect(filled.stderr).toContain('No space left');
    const oom = await world.app.small.create();
    expect(await codeOf(run('x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo $x', oom))).toBe('OutOfMemory');
    await oom.close();
  });
});

describe('a session whose agent', () => {
  test('is killed ends at once: every caller is told, and nothing of it is left', async () => {
    const doomed = await world.app.shell.create();
    const word = `100000.${process.pid}8`;
    const child = await doomed.spawn(['sleep', word]);
    const waiting = [
      errorOf(doomed.exec('touch /tmp/on; sleep 1000', { shell: true })),
      errorOf(collect(doomed.execStream(['sleep', '1000']))),
      errorOf(collect(child.output())),
      errorOf(child.wait()),
      errorOf(collect(doomed.watch('/tmp'))),
      errorOf(endlessly(doomed)),
    ];
    await fileIn(doomed, '/tmp/on');
    const traces = await tracesOfNew(word);
    process.kill(agentOf(traces), 'SIGKILL');
    for (const error of await besides(Promise.all(waiting))) {
      expect(error.code).toMatch(/^(OutcomeUnknown|StreamLost|InstanceLost|Unavailable)$/);
      expect(error.outcome).not.toBe('ran');
    }
    // Its callers hear of it from the agent's socket, its worker from the process's end: where it was is still known in between.
    await until(async () => (await doomed.pwd().catch(({ code }) => code)) === 'InstanceLost');
    await until(async () => leftOf(traces).length === 0);
    expect((await doomed.close()).closed).toBe(true);
  });

  test('cannot crowd out its agent, which comes before all that it starts', async () => {
    await using crowded = await world.app.shell.create();
    const word = `100000.${process.pid}8`;
    await crowded.spawn(['sleep', word]);
    const nice = (pid: number): number =>
      Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[16]);
    expect(nice(agentOf(await tracesOfNew(word)))).toBe(-15);
    const refused = await crowded.exec('nice; nice -n -5 nice', { shell: true });
    expect(refused.stdout).toBe('0\n0\n');
  });

  test('stops answering is ended by the limit of a command, or by a close', async () => {
    const [limited, closed] = await Promise.all([world.app.shell.create(), world.app.shell.create()]);
    const stop = async (of: SandboxSession, word: string) => {
      await of.spawn(['sleep', word]);
      const traces = await tracesOfNew(word);
      process.kill(agentOf(traces), 'SIGSTOP');
      return traces;
    };
    // On a slow machine its time may be over before its agent is stopped.
    const running = limited.exec('touch /tmp/on; sleep 1000', { shell: true, timeoutMs: 2_000 }).then(
      ({ timedOut }) => ({ code: timedOut ? 'timed out' : 'ended' }),
      (e: HoldfastError) => e,
    );
    await fileIn(limited, '/tmp/on');
    const hung = errorOf(closed.exec('touch /tmp/on; sleep 1000', { shell: true }));
    await fileIn(closed, '/tmp/on');
    const traces = [await stop(limited, `100000.${process.pid}6`), await stop(closed, `100000.${process.pid}7`)];
    const asked = errorOf(closed.listdir('/'));
    const { closed: isClosed } = await besides(closed.close({ force: true }));
    expect(isClosed).toBe(true);
    for (const error of [await running, await hung, await asked]) {
      expect(error.code).toMatch(/^(OutcomeUnknown|InstanceClosed|Unavailable|InstanceLost|timed out)$/);
    }
    await limited.close({ force: true });
    for (const each of traces) await until(async () => leftOf(each).length === 0);
    expect(existsSync(traces[0]?.files[0] ?? '')).toBe(false);
  });
});
