import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { GuestProcess } from '../../../src/common/ports/guest.js';
import { pythonTest, isolatedTest as test } from '../../isolated-test.js';
import { environment, run, type StartedGuest, startGuest } from './start-guest.js';

let started: StartedGuest;
beforeAll(async () => {
  started = await startGuest();
});
afterAll(() => started[Symbol.asyncDispose]());

const start = (argv: readonly string[]): Promise<GuestProcess> =>
  started.guest.spawn({ argv, cwd: '/tmp', env: environment }, () => undefined);

async function marked(mark: string): Promise<number> {
  return (await started.guest.processes()).filter(({ argv }) => argv.includes(mark)).length;
}

describe('a kill', () => {
  test('finds a daemon that has lowered every limit of its own', async () => {
    const script = 'ulimit -x 7; (setsid sleep 711 > /dev/null 2>&1 &); exec sleep 712';
    const process = await start(['/bin/bash', '-c', script]);
    while ((await marked('711')) === 0) await started.guest.stat('/');
    await process.kill('SIGKILL');
    expect(await marked('711')).toBe(0);
  });

  pythonTest('finds what goes on in threads after its first one has ended', async () => {
    const program = `
import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)`;
    const argv = ['/usr/bin/python3', '-c', program];
    const process = await start(argv);
    const isOver = `until grep -q zombie /proc/${process.pid}/status; do :; done`;
    expect(await run(started.guest, ['/bin/sh', '-c', isOver])).toMatchObject({ exitCode: 0 });
    // It has no command line any more.
    const listed = (await started.guest.processes()).find(({ pid }) => pid === process.pid);
    expect(listed).toMatchObject({ commandPid: process.pid, argv });
    await process.kill('SIGKILL');
    expect(await process.exited).toMatchObject({ signal: 'SIGKILL' });
  });

  test('finds everything where the agent has no room for one more operation', async () => {
    await using small = await startGuest(['prlimit', '--nofile=64:64']);
    const { guest } = small;
    const argv = ['/bin/sh', '-c', 'setsid sleep 714 > /dev/null 2>&1 &'];
    const process = await guest.spawn({ argv, cwd: '/tmp', env: environment }, () => undefined);
    await process.exited;
    const open: { close(): void }[] = [];
    const listen = async () => {
      for (;;) open.push(await guest.listen(0, () => undefined));
    };
    await expect(listen()).rejects.toMatchObject({ code: 'Unavailable' });
    open.pop()?.close();
    await process.kill('SIGKILL');
    for (const each of open) each.close();
    expect((await guest.processes()).filter(({ argv: words }) => words.includes('714'))).toEqual([]);
  });
});
