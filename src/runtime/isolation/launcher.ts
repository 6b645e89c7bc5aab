import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';
import { HoldfastError } from '../../common/errors.js';

/** One step of the launcher, with its words: see launcher.c. */
export type LauncherStep =
  | readonly ['cgroup', file: string]
  | readonly ['oom-score', score: string]
  | readonly ['urgent', nice: string]
  | readonly ['copy', source: string, target: string]
  | readonly ['namespace', stage: string]
  | readonly ['folder', target: string]
  | readonly ['link', text: string, target: string]
  | readonly ['bind', source: string, target: string]
  | readonly ['layer', source: string, target: string, from: string, to: string]
  | readonly ['below', folder: string, name: string, target: string]
  | readonly ['input', descriptor: string]
  | readonly ['disk', image: string, target: string]
  | readonly ['volume', image: string, target: string]
  | readonly ['owned', source: string, target: string, from: string, to: string]
  | readonly ['own', target: string, user: string]
  | readonly ['overlay', target: string, options: string]
  | readonly ['pivot', stage: string]
  | readonly ['user', id: string]
  | readonly ['unused', image: string]
  | readonly ['sync', pid: string, target: string]
  | readonly ['fuse', target: string]
  | readonly ['flush', target: string]
  | readonly ['unmount', target: string];

/** On which bubblewrap reads its arguments; 4 is its filter. */
const argsDescriptor = 5;
const keptErrorChars = 2_000;

/** Runs steps that start nothing. @param timeoutMs default: none @throws NoCapacity, Unavailable, with what the launcher said */
export async function runLauncher(launcher: string, steps: readonly LauncherStep[], timeoutMs?: number): Promise<void> {
  await runProgram(launcher, steps.flat(), timeoutMs);
}

/** As `runLauncher`; the steps have a file of this process as their descriptor 3. */
export async function runLauncherWith(file: number, launcher: string, steps: readonly LauncherStep[]): Promise<void> {
  await ended(launcher, spawnProgram(launcher, steps.flat(), { file, timeoutMs: 0 }), 0);
}

/** Runs a program of the host to its end, with no environment but a PATH. @throws Unavailable, with what it said on stderr */
export async function runProgram(program: string, args: readonly string[], timeoutMs = 0): Promise<void> {
  await ended(program, spawnProgram(program, args, { file: 'ignore', timeoutMs }), timeoutMs);
}

function spawnProgram(
  program: string,
  args: readonly string[],
  { file, timeoutMs }: { readonly file: number | 'ignore'; readonly timeoutMs: number },
): ChildProcess {
  return spawn(program, args, {
    stdio: ['ignore', 'ignore', 'pipe', file],
    env: { PATH: systemPath },
    cwd: '/',
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
}

async function ended(program: string, child: ChildProcess, timeoutMs: number): Promise<void> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptErrorChars);
  });
  const [code, signal] = (await once(child, 'close').catch((error: unknown) => [String(error), null])) as [
    number | string | null,
    string | null,
  ];
  if (child.killed) throw programFailed(program, `a kill: it took longer than ${timeoutMs} ms`, said.trim());
  if (code !== 0) throw programFailed(program, signal ?? code, said.trim());
}

/** @param how it ended; @param said on stderr */
export function programFailed(program: string, how: string | number | null, said: string): HoldfastError {
  const code = /No space left on device|Disk quota exceeded|Wrote only \d+ of/.test(said)
    ? 'NoCapacity'
    : 'Unavailable';
  return new HoldfastError(code, `${program} ended with ${how}: ${said}`);
}

/** What a child has as its descriptors 0 to 3: `pipe`s are this process's to read or write. */
export type Ends = readonly ['ignore' | 'pipe', 'pipe', 'pipe', 'ignore' | 'pipe'];

/** Starts the launcher, which becomes bubblewrap with `args`. @param filter a file with a seccomp filter */
export function launch(
  { launcher, filter }: { readonly launcher: string; readonly filter: string },
  { words, args }: { readonly words: readonly string[]; readonly args: readonly string[] },
  ends: Ends,
): ChildProcess {
  // Opened for each one: it is read from where the descriptor stands.
  const opened = openSync(filter, 'r');
  try {
    const child = spawn(launcher, words, {
      // A process group of its own, against Ctrl-C and for the watchdog.
      detached: true,
      stdio: [...ends, opened, 'pipe'],
      env: {},
      cwd: '/',
    });
    const streams: ChildProcess['stdio'][number][] = [...child.stdio];
    for (const stream of streams)
      stream?.on('error', () => {
        // It ended before it had read all; its exit tells.
      });
    (streams[argsDescriptor] as Writable | undefined)?.end(args.map((arg) => `${arg}\0`).join(''));
    return child;
  } finally {
    closeSync(opened);
  }
}

export function hasStarted(child: ChildProcess): child is ChildProcess & { readonly pid: number } {
  return child.pid !== undefined;
}

/** Where the host's own programs are; those of the administrator come after them. */
export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin';
