import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Guest, GuestProcess } from '../../../src/common/ports/guest.js';
import { isolatedTest as test } from '../../isolated-test.js';
import { environment, run, type StartedGuest, startGuest } from './start-guest.js';

let started: StartedGuest;
let guest: Guest;
beforeAll(async () => {
  started = await startGuest();
  guest = started.guest;
});
afterAll(() => started[Symbol.asyncDispose]());

const shell = (script: string): string[] => ['/bin/sh', '-c', script];
const command = (script: string) => ({ argv: shell(script), cwd: '/tmp', env: environment });

interface Collected {
  readonly process: GuestProcess;
  readonly seen: { stream: 'stdout' | 'stderr'; text: string; offset: number }[];
  text(): string;
  until(holds: (text: string) => boolean): Promise<void>;
}

/** Keeps all output, and tells when it holds something. */
async function collect(options: Parameters<Guest['spawn']>[0]): Promise<Collected> {
  const seen: Collected['seen'] = [];
  const waiting = new Set<() => void>();
  const text = () => seen.map((each) => each.text).join('');
  let process: GuestProcess | null = null;
  let early = 0;
  process = await guest.spawn(options, (stream, bytes, offset) => {
    seen.push({ stream, text: Buffer.from(bytes).toString('latin1'), offset });
    if (process === null) early += bytes.length;
    else process.acknowledge(bytes.length);
    for (const check of waiting) check();
  });
  process.acknowledge(early);
  const until = (holds: (text: string) => boolean) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!holds(text())) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  return { process, seen, text, until };
}

async function running(commandLine: string): Promise<number> {
  return (await guest.processes()).filter(({ argv }) => argv.join(' ') === commandLine).length;
}

describe('a command', () => {
  test('gives its output by stream, then its exit code', async () => {
    expect(await run(guest, shell('echo out; echo err >&2; exit 7'))).toEqual({
      exitCode: 7,
      signal: null,
      stdout: 'out\n',
      stderr: 'err\n',
    });
  });

  test('has the arguments, the environment and the directory that it was given, and nothing else', async () => {
    const { stdout } = await run(guest, ['/usr/bin/env'], { env: { A: 'ä b\nc', PATH: '/bin' } });
    expect(stdout).toBe('A=ä b\nc\nPATH=/bin\n');
    expect((await run(guest, ['pwd'], { cwd: '/usr' })).stdout).toBe('/usr\n');
    expect((await run(guest, ['printf', '%s|', '', 'a b', '*', '€'])).stdout).toBe('|a b|*|€|');
    expect((await run(guest, shell('ls /proc/self/fd | wc -l'))).stdout).toBe('4\n');
    expect((await run(guest, ['cat', '/proc/self/status'])).stdout).toMatch(/SigBlk:\s0+\nSigIgn:\s0+\n/);
  });

  test('that ends by a signal says which', async () => {
    expect(await run(guest, shell('kill -SEGV $$'))).toMatchObject({ exitCode: null, signal: 'SIGSEGV' });
  });

  test('reads the end of its input at once, unless it was opened', async () => {
    expect(await run(guest, ['cat'])).toMatchObject({ exitCode: 0, stdout: '' });
    const { process, text } = await collect({ ...command('cat'), stdin: true });
    await process.write(Buffer.from('one '));
    await process.write(Buffer.from('two'));
    process.closeStdin();
    expect(await process.exited).toEqual({ exitCode: 0, signal: null });
    expect(text()).toBe('one two');
  });

  test('takes megabytes of input and gives them back unchanged', async () => {
    const bytes = Buffer.alloc(5_000_000, 'some text that repeats; ');
    const { process, text } = await collect({ ...command('cat'), stdin: true });
    const written = process.write(bytes).then(() => process.closeStdin());
    await process.exited;
    await written;
    expect(Buffer.from(text(), 'latin1').equals(bytes)).toBe(true);
  });

  test('that does not read its input does not hold up who writes it, once it has ended', async () => {
    const { process } = await collect({ ...command('read line; exit 4'), stdin: true });
    await process.write(Buffer.from('go\n'));
    await process.write(Buffer.alloc(2_000_000));
    expect(await process.exited).toMatchObject({ exitCode: 4 });
    await process.write(Buffer.alloc(2_000_000));
  });

  test('that closes its input and runs on does not hold up who writes it', async () => {
    const { process, until } = await collect({ ...command('exec <&-; echo closed; sleep 600'), stdin: true });
    await until((text) => text === 'closed\n');
    await process.write(Buffer.alloc(3_000_000));
    await process.kill('SIGKILL');
    expect(await process.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  test.each([
    ['FileNotFound', { argv: ['/no/such'] }, /cannot run \/no\/such: there is no such program/],
    ['FileNotFound', { argv: ['no-such-program'] }, /cannot run no-such-program: there is no such program/],
    ['FileNotFound', { argv: ['true'], cwd: '/no/such' }, /cannot run true in \/no\/such/],
    ['InvalidArgument', { argv: ['true'], cwd: '/etc/passwd' }, /\/etc\/passwd is not a directory/],
    ['PermissionDenied', { argv: ['/etc/passwd'] }, /cannot run \/etc\/passwd/],
    ['InvalidArgument', { argv: [] }, /needs a program/],
    ['InvalidArgument', { argv: ['a\0b'] }, /NUL/],
    ['InvalidArgument', { argv: ['true'], cwd: 'tmp' }, /tmp is not absolute/],
    ['InvalidArgument', { argv: ['true'], env: { 'A=B': '' } }, /A=B/],
    ['PayloadTooLarge', { argv: ['true', 'x'.repeat(1_100_000)] }, /too long/],
    ['PayloadTooLarge', { argv: ['true', 'x'.repeat(200_000)] }, /too long/],
  ] as const)('that cannot start says %s, and why', async (code, options, message) => {
    const error = await run(guest, options.argv, options).catch((e: unknown) => e);
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  });

  test('is told from one that ends with 127', async () => {
    expect(await run(guest, shell('exit 127'))).toMatchObject({ exitCode: 127 });
  });

  test('prints a hundred thousand lines, in order and with gapless offsets', async () => {
    const { process, seen, text } = await collect(command('seq 1 100000; seq 100001 200000 >&2'));
    await process.exited;
    expect(text()).toBe(Array.from({ length: 200_000 }, (_, i) => `${i + 1}\n`).join(''));
    let offset = 0;
    for (const each of seen) {
      expect(each.offset).toBe(offset);
      offset += each.text.length;
    }
  });

  test('goes on without credit where its output is discarded', async () => {
    let received = 0;
    const options = { ...command('yes | head -c 3000000'), outputCreditBytes: 100_000 };
    const process = await guest.spawn(options, (_, bytes) => {
      received += bytes.length;
    });
    while (received < 100_000) await guest.stat('/');
    process.discard('stdout');
    expect(await process.exited).toMatchObject({ exitCode: 0 });
    expect(received).toBe(100_000);
  });

  test('stops while its output is not acknowledged, and goes on where it stopped', async () => {
    let received = 0;
    const process = await guest.spawn(
      { ...command('yes | head -c 3000000'), outputCreditBytes: 100_000 },
      (_, bytes) => {
        received += bytes.length;
      },
    );
    // The agent has no thread to do this later: once it answers, all that credit allows has come.
    while (received < 100_000) await guest.stat('/');
    await guest.stat('/');
    expect(received).toBe(100_000);
    const acknowledged = async () => {
      for (let last = 0; received < 3_000_000; ) {
        process.acknowledge(received - last);
        last = received;
        await guest.stat('/');
      }
    };
    await acknowledged();
    expect(await process.exited).toMatchObject({ exitCode: 0 });
    expect(received).toBe(3_000_000);
  });

  test('has ended only when what it printed was taken', async () => {
    let received = 0;
    const process = await guest.spawn(
      { ...command('head -c 60000 /dev/zero'), outputCreditBytes: 1_000 },
      (_, bytes) => {
        received += bytes.length;
      },
    );
    let isOver = false;
    void process.exited.then(() => {
      isOver = true;
    });
    await settled(async () => received === 1_000);
    await settled(async () => (await guest.processes()).every(({ pid }) => pid !== process.pid));
    expect([received, isOver]).toEqual([1_000, false]);
    for (let last = 0; received < 60_000; ) {
      process.acknowledge(received - last);
      last = received;
      await guest.stat('/');
    }
    await process.exited;
  });

  test('that leaves something in the background has ended, and the background does not break', async () => {
    const { process, text } = await collect(
      command('(while [ ! -e go ]; do :; done; yes | head -c 500000 && echo done > late) & echo started'),
    );
    await process.exited;
    expect(text()).toBe('started\n');
    await writeFile(join(started.folder, 'go'), '');
    await until(() =>
      readFile(join(started.folder, 'late'), 'utf8').then(
        (late) => late === 'done\n',
        () => false,
      ),
    );
    expect(text()).toBe('started\n');
  });

  test('that closes its output runs on, and then says how it ended', async () => {
    const { process } = await collect({ ...command('exec >&- 2>&-; read line; exit 9'), stdin: true });
    await process.write(Buffer.from('\n'));
    expect(await process.exited).toMatchObject({ exitCode: 9 });
  });

  test('can be one of very many at once', async () => {
    const results = await Promise.all(Array.from({ length: 200 }, (_, i) => run(guest, shell(`echo ${i}`))));
    expect(results.map(({ stdout }) => stdout)).toEqual(Array.from({ length: 200 }, (_, i) => `${i}\n`));
  });

  test('leaves no zombie, nor do its orphans', async () => {
    await run(guest, shell('for i in 1 2 3 4 5; do (sleep 0.01 &) ; done'));
    await until(async () => (await running('sleep 0.01')) === 0);
    const { stdout } = await run(guest, shell('cat /proc/[0-9]*/stat 2>/dev/null'));
    expect(stdout.split('\n').filter((line) => / Z /.test(line))).toEqual([]);
  });
});

describe('a kill', () => {
  test('reaches the whole process group', async () => {
    const { process, until } = await collect(command('sleep 601 & sleep 601 & echo up; wait'));
    await until((text) => text === 'up\n');
    await process.kill('SIGTERM');
    expect(await process.exited).toMatchObject({ signal: 'SIGTERM' });
    await settled(async () => (await running('sleep 601')) === 0);
  });

  test('with SIGTERM leaves a command that ignores it, with SIGKILL nothing', async () => {
    const { process, until } = await collect(command('trap "" TERM; echo up; while :; do sleep 602; done'));
    await until((text) => text === 'up\n');
    await process.kill('SIGTERM');
    expect((await guest.processes()).map(({ pid }) => pid)).toContain(process.pid);
    await process.kill('SIGKILL');
    expect(await process.exited).toMatchObject({ signal: 'SIGKILL' });
    expect(await running('sleep 602')).toBe(0);
  });

  test('finds what made a session of its own, and what made itself a daemon with another environment', async () => {
    const daemon = 'setsid sh -c "exec env -i sleep 603 & exec env -i sleep 603"';
    const { process, until } = await collect(command(`(${daemon} &) ; setsid sleep 603 & echo up; sleep 603`));
    await until((text) => text === 'up\n');
    await settled(async () => (await running('sleep 603')) === 4);
    await process.kill('SIGKILL');
    await process.exited;
    expect(await running('sleep 603')).toBe(0);
  });

  test('finds what a command left behind after its end, and spares what others left', async () => {
    const first = await collect(command('setsid sleep 604 > /dev/null 2>&1 & exit'));
    const second = await collect(command('setsid sleep 605 > /dev/null 2>&1 & exit'));
    await Promise.all([first.process.exited, second.process.exited]);
    await settled(async () => (await running('sleep 604')) + (await running('sleep 605')) === 2);
    await first.process.kill('SIGKILL');
    expect([await running('sleep 604'), await running('sleep 605')]).toEqual([0, 1]);
    await second.process.kill('SIGKILL');
    expect(await running('sleep 605')).toBe(0);
  });

  test('outruns a command that forks without end', async () => {
    const { process, until } = await collect(command('echo up; while :; do sleep 606 & done'));
    await until((text) => text === 'up\n');
    await process.kill('SIGKILL');
    await process.exited;
    expect(await running('sleep 606')).toBe(0);
  });

  test('of what has ended does nothing, and an unknown signal is refused', async () => {
    const { process } = await collect(command('exit'));
    await process.exited;
    await process.kill('SIGTERM');
    await process.kill('SIGKILL');
    await expect(process.kill('SIGNOPE' as NodeJS.Signals)).rejects.toMatchObject({ code: 'InvalidArgument' });
  });

  test('gives the output up to then, and the signal', async () => {
    const { process, until, text } = await collect(command('echo partial; sleep 607'));
    await until((seen) => seen === 'partial\n');
    await process.kill('SIGKILL');
    expect(await process.exited).toEqual({ exitCode: null, signal: 'SIGKILL' });
    expect(text()).toBe('partial\n');
  });
});

describe('a terminal', () => {
  test('is one, of the size that was asked for, and changes it', async () => {
    const script = 'trap "stty size; exit" WINCH; tty; stty size; echo ready; while :; do sleep 0.01; done';
    const { process, text, until } = await collect({ ...command(script), pty: { cols: 91, rows: 17 } });
    await until((seen) => seen.includes('ready'));
    expect(text()).toBe('/dev/pts/0\r\n17 91\r\nready\r\n');
    process.resize(120, 40);
    await process.exited;
    expect(text()).toContain('40 120\r\n');
  });

  test('echoes what is typed, and takes its end of file and its interrupt', async () => {
    const cat = await collect({ ...command('cat'), pty: { cols: 80, rows: 24 } });
    await cat.process.write(Buffer.from('typed\n'));
    await cat.until((seen) => seen === 'typed\r\ntyped\r\n');
    cat.process.closeStdin();
    expect(await cat.process.exited).toMatchObject({ exitCode: 0 });

    const sleep = await collect({ ...command('echo up; exec sleep 608'), pty: { cols: 80, rows: 24 } });
    await sleep.until((seen) => seen === 'up\r\n');
    await sleep.process.write(Buffer.from('\x03'));
    expect(await sleep.process.exited).toMatchObject({ signal: 'SIGINT' });
  });

  test('gives all output of a command that ends at once', async () => {
    for (let i = 0; i < 20; i += 1) {
      const { process, text } = await collect({ ...command('seq 1 5000'), pty: { cols: 80, rows: 24 } });
      await process.exited;
      expect(text()).toBe(Array.from({ length: 5000 }, (_, n) => `${n + 1}\r\n`).join(''));
    }
  });

  test('outlives a program that closes it for a while', async () => {
    const script = 'exec <&- >&- 2>&-; sleep 0.05; exec >/dev/tty; echo back';
    const { process, text } = await collect({ ...command(script), pty: { cols: 80, rows: 24 } });
    expect(await process.exited).toMatchObject({ exitCode: 0 });
    expect(text()).toBe('back\r\n');
  });
});

describe('the list of processes', () => {
  test('has command lines, memory, start and the command that each belongs to', async () => {
    const before = Date.now();
    const { process, until } = await collect(command('sleep 609 & setsid sleep 610 & echo up; wait'));
    await until((text) => text === 'up\n');
    await settled(async () => (await running('sleep 609')) + (await running('sleep 610')) === 2);
    const all = await guest.processes();
    const leader = all.find(({ pid }) => pid === process.pid);
    expect(leader).toMatchObject({
      parentPid: 1,
      commandPid: process.pid,
      argv: shell('sleep 609 & setsid sleep 610 & echo up; wait'),
    });
    expect(leader?.memoryBytes).toBeGreaterThan(100_000);
    expect(Math.abs((leader?.startedAtMs ?? 0) - before)).toBeLessThan(60_000);
    for (const name of ['609', '610']) {
      expect(all.find(({ argv }) => argv.join(' ') === `sleep ${name}`)).toMatchObject({ commandPid: process.pid });
    }
    expect(all.map(({ pid }) => pid)).not.toContain(1);
    await process.kill('SIGKILL');
  });
});

describe('the end of the link', () => {
  test('ends everything inside, and every waiter at once', async () => {
    await using own = await startGuest();
    const script = 'trap "" TERM HUP; setsid sleep 611 & echo up; sleep 611';
    let up: () => void = () => undefined;
    const isUp = new Promise<void>((resolve) => {
      up = resolve;
    });
    const process = await own.guest.spawn({ argv: shell(script), cwd: '/tmp', env: environment }, () => up());
    await isUp;
    const reader = own.guest.read('/dev/zero');
    await reader.next();
    const waiting = [
      process.exited,
      own.guest.stat('/'),
      own.guest.readFile('/dev/zero', { maxBytes: 1e9 }),
      own.guest.watch('/').then((changes) => changes.next()),
    ];
    own.guest.close();
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    await expect(own.guest.stat('/')).rejects.toMatchObject({ code: 'Unavailable' });
    expect(await own.guest.closed).toMatchObject({ code: 'Unavailable' });
    await once(own.bubblewrap, 'exit');
  });

  test('comes with the end of the agent, whatever kills it', async () => {
    await using own = await startGuest();
    const process = await own.guest.spawn({ argv: ['sleep', '612'], cwd: '/tmp', env: environment }, () => undefined);
    own.bubblewrap.kill('SIGKILL');
    await expect(process.exited).rejects.toMatchObject({ code: 'Unavailable', outcome: 'unknown' });
    expect((await own.guest.closed).message).toMatch(/the sandbox is gone/);
  });

  test('cannot be brought about by a command: it cannot kill, trace or read the agent', async () => {
    const { stdout } = await run(
      guest,
      shell('kill -9 1; cat /proc/1/environ; cat /proc/1/mem; readlink /proc/1/fd/3; echo tried'),
    );
    expect(stdout).toBe('tried\n');
    expect(await run(guest, ['true'])).toMatchObject({ exitCode: 0 });
  });
});

/** For what the kernel does in its own time: asks again, each time after a round trip. */
async function settled(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await guest.stat('/');
}

const until = settled;
