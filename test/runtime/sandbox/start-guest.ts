import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { systemClock } from '../../../src/adapters/system/clock.js';
import { guestProgramPath } from '../../../src/cli/parts/guest-program.js';
import type { Guest, GuestCommand, GuestExit, GuestProcess } from '../../../src/common/ports/guest.js';
import { TimerWheel } from '../../../src/common/timer-wheel.js';
import { openGuest } from '../../../src/runtime/sandbox/guest/guest-client.js';

/** The real agent as process 1 of namespaces of its own, with this folder as its `/tmp`; all else is read-only. */
export interface StartedGuest extends AsyncDisposable {
  readonly guest: Guest;
  readonly folder: string;
  readonly bubblewrap: ChildProcess;
}

const agent = '/run/holdfast-guest';
export const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/tmp' };

export const wheel = new TimerWheel(systemClock, 1_000);

/** Arguments of bwrap up to the program that it runs. */
function isolation(folder: string): string[] {
  const namespaces = [
    '--unshare-all',
    '--die-with-parent',
    '--new-session',
    '--as-pid-1',
    '--uid',
    '1000',
    '--gid',
    '1000',
  ];
  const mounts = ['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc', '--bind', folder, '/tmp'];
  return [...namespaces, ...mounts, '--tmpfs', '/run', '--ro-bind', guestProgramPath(), agent];
}

/** A process in there whose descriptor 3 is the other end of `link`. */
export async function startIsolated(argv: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-guest-'));
  const bubblewrap = spawn('bwrap', [...isolation(folder), ...argv], {
    stdio: ['ignore', 'ignore', 'inherit', 'pipe'],
  });
  await once(bubblewrap, 'spawn');
  const link = bubblewrap.stdio[3] as Duplex;
  const dispose = async () => {
    link.destroy();
    bubblewrap.kill('SIGKILL');
    if (bubblewrap.exitCode === null && bubblewrap.signalCode === null) await once(bubblewrap, 'exit');
    await rm(folder, { recursive: true, force: true });
  };
  return { folder, bubblewrap, link, [Symbol.asyncDispose]: dispose };
}

/** @param before what becomes the agent */
export async function startGuest(before: readonly string[] = []): Promise<StartedGuest> {
  const isolated = await startIsolated([...before, agent]);
  return { ...isolated, guest: await openGuest(isolated.link, wheel) };
}

export interface Ran extends GuestExit {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end. */
export async function run(guest: Guest, argv: readonly string[], options: Partial<GuestCommand> = {}): Promise<Ran> {
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const command = { argv, cwd: '/tmp', env: environment, ...options };
  let early = 0;
  let process: GuestProcess | null = null;
  process = await guest.spawn(command, (stream, bytes) => {
    output[stream].push(Buffer.from(bytes));
    if (process === null) early += bytes.length;
    else process.acknowledge(bytes.length);
  });
  process.acknowledge(early);
  const exit = await process.exited;
  return { ...exit, stdout: String(Buffer.concat(output.stdout)), stderr: String(Buffer.concat(output.stderr)) };
}
