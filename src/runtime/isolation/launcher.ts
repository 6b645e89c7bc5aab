import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { HoldfastError } from '../../common/errors.js';

/** One step of the launcher, with its words: see launcher.c. */
export type LauncherStep =
  | readonly ['cgroup', file: string]
  | readonly ['oom-score', score: string]
  | readonly ['copy', source: string, target: string]
  | readonly ['namespace', stage: string]
  | readonly ['folder', target: string]
  | readonly ['link', text: string, target: string]
  | readonly ['bind', source: string, target: string]
  | readonly ['disk', image: string, target: string]
  | readonly ['own', target: string, user: string]
  | readonly ['overlay', target: string, options: string]
  | readonly ['pivot', stage: string]
  | readonly ['user', id: string]
  | readonly ['unused', image: string]
  | readonly ['sync', pid: string, target: string];

const keptErrorChars = 2_000;

/** Runs steps that start nothing. @throws Unavailable, with what the launcher said */
export async function runLauncher(launcher: string, steps: readonly LauncherStep[]): Promise<void> {
  await runProgram(launcher, steps.flat());
}

/** Runs a program of the host to its end, with no environment but a PATH. @throws Unavailable, with what it said on stderr */
export async function runProgram(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: systemPath }, cwd: '/' });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptErrorChars);
  });
  const [code, signal] = (await once(child, 'close').catch((error: unknown) => [String(error), null])) as [
    number | string | null,
    string | null,
  ];
  if (code === 0) return;
  throw new HoldfastError('Unavailable', `${program} ended with ${signal ?? code}: ${said.trim()}`);
}

/** Where the host's own programs are; those of the administrator come after them. */
export const systemPath = '/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin';
