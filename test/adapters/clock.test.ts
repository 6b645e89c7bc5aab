import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/adapters/system/clock.js';

const run = promisify(execFile);

describe('the clock of the system', () => {
  test('monotonic time is one for all processes of the host', async () => {
    const before = systemClock.monotonic();
    const program = 'const [s, ns] = process.hrtime(); console.log(s * 1000 + ns / 1e6)';
    const { stdout } = await run(process.execPath, ['-e', program]);
    const after = systemClock.monotonic();
    expect(Number(stdout)).toBeGreaterThan(before);
    expect(Number(stdout)).toBeLessThan(after);
  });

  test('a sleep ends after its time, or with the reason of its signal', async () => {
    const before = systemClock.monotonic();
    await systemClock.sleep(20, new AbortController().signal);
    expect(systemClock.monotonic() - before).toBeGreaterThanOrEqual(18);
    const controller = new AbortController();
    const sleeping = systemClock.sleep(1_000_000, controller.signal);
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
    await expect(systemClock.sleep(1_000_000, controller.signal)).rejects.toBe(reason);
  });

  test('a task runs once after its time, unless it was cancelled', async () => {
    const ran: string[] = [];
    systemClock.after(5, () => ran.push('cancelled')).cancel();
    await new Promise<void>((resolve) =>
      systemClock.after(10, () => {
        ran.push('task');
        resolve();
      }),
    );
    expect(ran).toEqual(['task']);
  });

  test('a time that no timer can hold is waited for, not cut to nothing', async () => {
    const ran: string[] = [];
    const timers = [2 ** 31, 1e15, Number.POSITIVE_INFINITY].map((ms) =>
      systemClock.after(ms, () => ran.push(String(ms))),
    );
    await systemClock.sleep(20);
    expect(ran).toEqual([]);
    for (const timer of timers) timer.cancel();
  });

  test('a waiting task does not keep a process alive, a sleep does', async () => {
    const clock = new URL('../../src/adapters/system/clock.ts', import.meta.url).href;
    const program = `
      import { systemClock } from '${clock}';
      systemClock.after(600_000, () => console.log('never'));
      await systemClock.sleep(10);
      console.log('slept');`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', program];
    expect((await run(process.execPath, args)).stdout).toBe('slept\n');
  });
});

test('chance gives numbers from 0 to below 1, and as many bytes as were asked for', () => {
  const numbers = Array.from({ length: 100 }, () => systemRandom.next());
  expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true);
  expect(new Set(numbers).size).toBeGreaterThan(90);
  expect(systemRandom.bytes(16)).toHaveLength(16);
  expect(systemRandom.bytes(16)).not.toEqual(systemRandom.bytes(16));
});
