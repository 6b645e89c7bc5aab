import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { SandboxSteps } from '../load/sandbox-steps.js';
import type { Target } from '../load/target.js';

const walls = ['--unshare-all', '--die-with-parent', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev'];
const run = promisify(execFile);

/** The least that the same work takes: bubblewrap by itself, `nsenter` into one that lives, and a copy on the plain disk. */
export async function connectBareSandbox(): Promise<Target> {
  const stored = join(tmpdir(), `holdfast-bench-stored-${process.pid}`);
  const living = spawn('bwrap', [...walls, 'sh', '-c', 'echo up; exec sleep 3600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(living.stdout, 'data');
  const inside = await innermost(living);
  const sandbox: SandboxSteps = {
    create: async () => {
      await run('bwrap', [...walls, '/bin/true']);
      return async () => undefined;
    },
    open: async () => {
      const idle = spawn('bwrap', [...walls, 'sleep', '3600'], { stdio: 'ignore' });
      await once(idle, 'spawn');
      return { exec: async () => undefined, end: async () => void idle.kill('SIGKILL') };
    },
    exec: async () => void (await run('nsenter', ['-t', inside, '-a', '/bin/true'])),
    upload: (path) => pipeline(createReadStream(path), createWriteStream(stored)),
    download: (path) => pipeline(createReadStream(stored), createWriteStream(path)),
  };
  return {
    call: () => Promise.reject(new Error('a bare sandbox has no methods')),
    sandbox,
    close: async () => {
      living.kill('SIGKILL');
      await rm(stored, { force: true });
    },
  };
}

/** Below bubblewrap's own processes is the one that lives in the namespaces. */
async function innermost({ pid }: ChildProcess): Promise<string> {
  let found = String(pid);
  for (;;) {
    const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', found]).catch(() => ({ stdout: '' }));
    const child = stdout.trim().split(/\s+/)[0];
    if (child === undefined || child === '') return found;
    found = child;
  }
}
