import { createHash } from 'node:crypto';
import type { SandboxSession } from 'holdfast';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { isolatedTest as test } from '../../isolated-test.js';
import { codeOf, collect, errorOf, exitOf, fileIn, sandboxWorld, textOf, until } from './sandbox-world.js';

const world = sandboxWorld();
let session: SandboxSession;

beforeAll(async () => {
  session = await world.app.shell.create({ cwd: '/job' });
});

afterAll(async () => {
  await session?.close({ force: true });
});

describe('a command', () => {
  test('is a list of words, or a line that is split and not expanded', async () => {
    const words = ['printf', '%s|', 'a b', '$HOME', '*', '', "it's", 'é\n'];
    const listed = await session.exec(words);
    expect(listed).toMatchObject({ command: words, exitCode: 0, signal: null, timedOut: false, truncated: false });
    expect(listed.stdout).toBe("a b|$HOME|*||it's|é\n|");
    expect(listed.pid).toBeGreaterThan(1);
    expect(listed.durationMs).toBeGreaterThan(0);
    const split = await session.exec('printf %s| "a b" $HOME * \'\'');
    expect(split).toMatchObject({ stdout: 'a b|$HOME|*||', command: ['printf', '%s|', 'a b', '$HOME', '*', ''] });
  });

  test('goes to a shell where it is told to', async () => {
    const result = await session.exec('echo $((1 + 1)) | tr 2 3; echo err >&2; exit 4', { shell: true });
    expect(result).toMatchObject({ exitCode: 4, stdout: '3\n', stderr: 'err\n', signal: null });
    expect(result.command).toEqual(['/bin/sh', '-c', 'echo $((1 + 1)) | tr 2 3; echo err >&2; exit 4']);
  });

  test('that is none is refused before anything runs', async () => {
    for (const command of ['', '  ', [], ['a\0b'], 'a\0b', [1], null, "echo 'open"]) {
      expect(await codeOf(session.exec(command as string))).toBe('InvalidArgument');
    }
    expect(await codeOf(session.exec(['ls'], { shell: true }))).toBe('InvalidArgument');
    expect(await codeOf(session.exec('ls', { timeout: 5 } as never))).toBe('InvalidArgument');
  });

  test('that is not there, or not to be run, says so', async () => {
    const missing = await errorOf(session.exec('no-such-program'));
    expect([missing.code, missing.outcome]).toEqual(['FileNotFound', 'not-run']);
    expect(await codeOf(session.exec('/job/no-such-program'))).toBe('FileNotFound');
    await session.writeText('plain', 'x');
    expect(await codeOf(session.exec('./plain'))).toBe('PermissionDenied');
    expect(await codeOf(session.exec('true', { cwd: 'no-such-folder' }))).toBe('FileNotFound');
  });

  test('has its own variables and working directory on top of the session’s', async () => {
    const env = { MINE: 'yes', PATH: '/bin' };
    const result = await session.exec('echo $MINE $PATH $HOME; pwd', { shell: true, env, cwd: '/tmp' });
    expect(result.stdout).toBe('yes /bin /root\n/tmp\n');
    expect(await session.getEnv()).not.toHaveProperty('MINE');
    expect(await session.pwd()).toBe('/job');
  });

  test('is killed with its whole group at its limit, and what it printed is kept', async () => {
    const started = performance.now();
    const line = 'echo before; (sleep 77; echo child) & echo $! > /tmp/group; sleep 77; echo after';
    const result = await session.exec(line, { shell: true, timeoutMs: 300 });
    expect(result).toMatchObject({ exitCode: null, signal: 'SIGKILL', timedOut: true, stdout: 'before\n' });
    expect(performance.now() - started).toBeLessThan(30_000);
    expect((await session.exec(['ps', 'ax'])).stdout).not.toContain('sleep 77');
  });

  test('is killed although it ignores what can be ignored, and closes what it can close', async () => {
    const line = "trap '' TERM INT HUP; exec >&- 2>&- <&-; while :; do sleep 0.05; done";
    expect(await session.exec(line, { shell: true, timeoutMs: 300 })).toMatchObject({ timedOut: true });
  });

  test('of a sandbox with a limit ends at that, and keeps what it printed', async () => {
    await using brief = await world.app.brief.create();
    const result = await brief.exec('echo begun; sleep 100', { shell: true });
    expect(result).toMatchObject({ timedOut: true, stdout: 'begun\n' });
    expect(await brief.exec('true', { timeoutMs: 1_000_000 })).toMatchObject({ timedOut: false });
  });

  test('tells the signal that ended it', async () => {
    expect(await session.exec('kill -TERM $$', { shell: true })).toMatchObject({ exitCode: null, signal: 'SIGTERM' });
  });

  test('is killed when its caller aborts', async () => {
    const controller = new AbortController();
    const running = errorOf(session.exec('touch /tmp/aborting; sleep 88', { shell: true, signal: controller.signal }));
    await fileIn(session, '/tmp/aborting');
    controller.abort();
    expect((await running).code).toBe('Cancelled');
    await until(async () => !(await session.exec(['ps', 'ax'])).stdout.includes('sleep 88'));
    const early = await errorOf(session.exec('true', { signal: AbortSignal.abort() }));
    expect([early.code, early.outcome]).toEqual(['Cancelled', 'not-run']);
  });

  test('throws where it is checked and fails, with its result', async () => {
    const failed = await errorOf(session.exec('echo out; echo err >&2; exit 3', { shell: true, check: true }));
    expect(failed).toMatchObject({ code: 'CommandFailed', outcome: 'ran' });
    expect(failed.details).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' });
    expect(failed.message).toContain('code 3');
    expect(failed.message).not.toContain('err\n');
    expect(await codeOf(session.exec('sleep 9', { check: true, timeoutMs: 50 }))).toBe('CommandFailed');
    expect(await session.exec('true', { check: true })).toMatchObject({ exitCode: 0 });
  });

  test('prints as much as is kept, and the rest is dropped and said to be', async () => {
    const line = 'i=0; while [ $i -lt 2000 ]; do echo "line $i é"; i=$((i+1)); done; printf bad >&2';
    const result = await session.exec(line, { shell: true, maxOutputBytes: 100 });
    expect(result).toMatchObject({ truncated: true, stderr: 'bad', exitCode: 0 });
    expect(Buffer.byteLength(result.stdout)).toBeLessThanOrEqual(100);
    expect(result.stdout.startsWith('line 0 é\nline 1')).toBe(true);
    expect(await session.exec('echo hi', { maxOutputBytes: 0 })).toMatchObject({ stdout: '', truncated: true });
    const whole = await session.exec('head -c 3000000 /dev/zero', { maxOutputBytes: 5_000_000 });
    expect([whole.stdout.length, whole.truncated]).toEqual([3_000_000, false]);
  });

  test('floods nobody: a gigabyte is cut to what is kept', async () => {
    const result = await session.exec('head -c 1000000000 /dev/zero', { maxOutputBytes: 1_000 });
    expect([result.stdout.length, result.truncated, result.exitCode]).toEqual([1_000, true, 0]);
  });

  test('may leave a process behind, which goes on', async () => {
    const result = await session.exec('sh -c "sleep 66 >/dev/null 2>&1 & echo \\$!"');
    const pid = result.stdout.trim();
    expect((await session.exec(['kill', '-0', pid])).exitCode).toBe(0);
    await session.exec(['kill', '-9', pid]);
  });
});

describe('the stdin of a command', () => {
  const copy = ['cat'];

  test('is closed unless it is given', async () => {
    expect(await session.exec(copy)).toMatchObject({ stdout: '', exitCode: 0 });
  });

  test('is text, bytes of any kind, or comes in pieces', async () => {
    expect((await session.exec(copy, { stdin: 'Grüße\n' })).stdout).toBe('Grüße\n');
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    for (const stdin of [bytes, bytes.buffer]) {
      expect((await session.exec('sha256sum', { stdin })).stdout).toContain(
        createHash('sha256').update(bytes).digest('hex'),
      );
    }
    async function* pieces() {
      yield Buffer.from('one ');
      yield new TextEncoder().encode('two ').buffer as ArrayBuffer;
      yield Buffer.alloc(0);
      yield Buffer.from('three');
    }
    expect((await session.exec(copy, { stdin: pieces() })).stdout).toBe('one two three');
  });

  test('may be larger than anything that is kept', async () => {
    const piece = Buffer.alloc(1_000_000, 'abcdefgh');
    const hash = createHash('sha256');
    async function* pieces() {
      for (let count = 0; count < 50; count += 1) {
        hash.update(piece);
        yield piece;
      }
    }
    const { stdout } = await session.exec('sha256sum', { stdin: pieces() });
    expect(stdout).toContain(hash.digest('hex'));
    const large = Buffer.alloc(5_000_000, 'x');
    expect((await session.exec('wc -c', { stdin: large })).stdout.trim()).toBe('5000000');
  });

  test('need not be read', async () => {
    const endless = (async function* () {
      for (;;) yield Buffer.alloc(100_000);
    })();
    expect(await session.exec('head -c 5', { stdin: endless })).toMatchObject({ exitCode: 0 });
    const silent = (async function* () {
      yield Buffer.from('x');
      await new Promise(() => undefined);
    })();
    expect(await session.exec('head -c 1', { stdin: silent })).toMatchObject({ stdout: 'x' });
    expect(await session.exec('true', { stdin: 'unread'.repeat(100_000) })).toMatchObject({ exitCode: 0 });
  });

  test('that breaks breaks the call', async () => {
    const broken = (async function* () {
      yield Buffer.from('half');
      throw new TypeError('the source broke');
    })();
    await expect(session.exec('cat', { stdin: broken })).rejects.toThrow('the source broke');
  });
});

/** Its number is there before its first output. */
const endless = "sh -c 'echo $$ > /tmp/yes; exec yes' & wait";

describe('what a command does, as it does it', () => {
  test('comes in order, with offsets over both streams', async () => {
    const line = 'for i in 1 2 3; do echo out$i; sleep 0.03; echo err$i >&2; sleep 0.03; done; exit 2';
    const events = await collect(session.execStream(line, { shell: true }));
    expect(events[0]).toMatchObject({ type: 'start' });
    expect([textOf(events), textOf(events, 'stderr')]).toEqual(['out1\nout2\nout3\n', 'err1\nerr2\nerr3\n']);
    expect(exitOf(events)).toMatchObject({ exitCode: 2, signal: null, timedOut: false });
    let offset = 0;
    for (const event of events) {
      if (event.type !== 'stdout' && event.type !== 'stderr') continue;
      expect(event.offset).toBe(offset);
      offset += event.bytes.length;
    }
    expect(events.filter(({ type }) => type === 'stderr').length).toBeGreaterThan(1);
  });

  test('is bytes and text, whatever the pieces cut in two', async () => {
    const line = "printf 'a\\303'; sleep 0.1; printf '\\251b\\377'";
    const events = await collect(session.execStream(line, { shell: true }));
    expect(textOf(events)).toBe('aéb\ufffd');
    const bytes = events.flatMap((event) => (event.type === 'stdout' ? [...event.bytes] : []));
    expect(bytes).toEqual([0x61, 0xc3, 0xa9, 0x62, 0xff]);
  });

  test('may be a great many lines, each byte once and in its place', async () => {
    const hash = createHash('sha256');
    let lines = 0;
    let offset = 0;
    for await (const event of session.execStream('seq 1 300000')) {
      if (event.type !== 'stdout') continue;
      expect(event.offset).toBe(offset);
      offset += event.bytes.length;
      hash.update(event.bytes);
      lines += event.data.split('\n').length - 1;
    }
    const expected = createHash('sha256');
    for (let line = 1; line <= 300_000; line += 1) expected.update(`${line}\n`);
    expect([lines, hash.digest('hex')]).toEqual([300_000, expected.digest('hex')]);
  });

  test('waits for a slow reader, and ends with one who leaves', async () => {
    const events = session.execStream(endless, { shell: true })[Symbol.asyncIterator]();
    await events.next();
    await events.next();
    const pid = (await session.readText('/tmp/yes')).trim();
    await events.return?.();
    await until(async () => (await session.exec(['kill', '-0', pid])).exitCode !== 0);
  });

  test('that stands still because nobody reads ends with its reader, and the session goes on', async () => {
    await using other = await world.app.shell.create();
    const events = other.execStream(endless, { shell: true })[Symbol.asyncIterator]();
    await events.next();
    await events.next();
    await standsStill(other, (await other.readText('/tmp/yes')).trim());
    await events.return?.();
    await until(async () => (await other.inspect()).running === 0);
    expect(await other.pwd()).toBe('/');
  });

  test('ends at its limit, and is checked', async () => {
    const events = await collect(session.execStream('echo a; sleep 99', { shell: true, timeoutMs: 200 }));
    expect(exitOf(events)).toMatchObject({ timedOut: true, signal: 'SIGKILL' });
    expect(textOf(events)).toBe('a\n');
    expect(await codeOf(collect(session.execStream('exit 5', { shell: true, check: true })))).toBe('CommandFailed');
    expect(await codeOf(collect(session.execStream('no-such-program')))).toBe('FileNotFound');
  });
});

describe('commands at once', () => {
  test('are as many as the sandbox allows; files never wait behind them', async () => {
    await using single = await world.app.single.create();
    const running = single.exec('touch /tmp/on; while [ ! -e /tmp/off ]; do sleep 0.01; done', { shell: true });
    await until(() => single.exists('/tmp/on'));
    const refused = await errorOf(single.exec('true'));
    expect(refused.code).toBe('PendingLimitExceeded');
    expect(refused.details).toMatchObject({ limit: 0 });
    expect(refused.message).toContain('raise maxPendingTasks or tasksPerContainer');
    expect(await codeOf(single.spawn('true'))).toBe('PendingLimitExceeded');
    expect(await codeOf(collect(single.execStream('true')))).toBe('PendingLimitExceeded');
    expect(await single.listdir('/tmp')).toEqual(['on']);
    await single.updateEnv({ A: 1 });
    await single.writeText('/tmp/off', '');
    expect((await running).exitCode).toBe(0);
    expect((await single.exec('true')).exitCode).toBe(0);
  });

  test('wait for each other in their order, as many as may wait', async () => {
    await using double = await world.app.double.create();
    const hold = (name: string): string => `touch /tmp/${name}; while [ ! -e /tmp/go ]; do sleep 0.01; done`;
    const [first, second] = [hold('a'), hold('b')].map((line) => double.exec(line, { shell: true }));
    await until(async () => (await double.exists('/tmp/a')) && (await double.exists('/tmp/b')));
    const third = double.exec('ls /tmp/go');
    await until(async () => (await double.inspect()).pending === 1);
    expect(await codeOf(double.exec('true'))).toBe('PendingLimitExceeded');
    await double.writeText('/tmp/go', '');
    expect((await third).stdout).toBe('/tmp/go\n');
    await Promise.all([first, second]);
  });

  test('count while they run, also when nobody waits for them', async () => {
    await using single = await world.app.single.create();
    const child = await single.spawn(['sleep', '100']);
    expect(await codeOf(single.exec('true'))).toBe('PendingLimitExceeded');
    await child.kill('SIGKILL');
    await child.wait();
    await until(async () => (await single.inspect()).running === 0);
    expect((await single.exec('true')).exitCode).toBe(0);
  });

  test('may be a hundred, each with what it printed', async () => {
    const results = await Promise.all(Array.from({ length: 100 }, (_, at) => session.exec(['echo', String(at)])));
    expect(results.map(({ stdout }) => Number(stdout))).toEqual(Array.from({ length: 100 }, (_, at) => at));
  });
});

describe('a command that takes too much', () => {
  test('of memory ends its session, and its caller is told', async () => {
    const small = await world.app.small.create();
    const bomb = await errorOf(small.exec('x=$(head -c 200000000 /dev/zero | tr "\\0" x); echo $x', { shell: true }));
    expect(bomb.code).toBe('OutOfMemory');
    expect(await codeOf(small.pwd())).toBe('InstanceLost');
    expect((await small.close()).closed).toBe(true);
  });

  test('of its disk is refused it', async () => {
    await using small = await world.app.small.create();
    const filled = await small.exec('head -c 500000000 /dev/zero > /tmp/big', { shell: true });
    expect([filled.exitCode, filled.stderr]).toEqual([1, expect.stringContaining('No space left')]);
    expect(await codeOf(small.writeBytes('/tmp/more', Buffer.alloc(1_000_000)))).toBe('NoCapacity');
    await small.remove('/tmp/big');
    await small.writeBytes('/tmp/more', Buffer.alloc(1_000_000));
  });

  test('of processes is refused them, and others go on', async () => {
    await using crowded = await world.app.shell.create();
    const bomb = crowded.exec('bomb() { bomb | bomb & }; bomb', { shell: true, timeoutMs: 3_000 });
    expect((await session.exec('echo fine')).stdout).toBe('fine\n');
    await bomb.catch(() => undefined);
    await crowded.close({ force: true });
    expect((await session.exec('echo fine')).stdout).toBe('fine\n');
  });
});

/** Its pipe is full: it has not run between two looks, in which something else has. */
async function standsStill(of: SandboxSession, pid: string): Promise<void> {
  const switches = async (): Promise<string> =>
    (await of.exec(['grep', 'ctxt_switches', `/proc/${pid}/status`], { check: true })).stdout;
  for (let before = await switches(); ; ) {
    const now = await switches();
    if (now === before) return;
    before = now;
  }
}
