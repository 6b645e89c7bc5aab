import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { namelessFile } from '../load/nameless-file.js';
import type { SandboxSteps } from '../load/sandbox-steps.js';
import type { Target } from '../load/target.js';
import { BareShell } from './bare-shell.js';

const walls = ['--unshare-all', '--die-with-parent', '--ro-bind', '/', '/', '--proc', '/proc', '--dev', '/dev'];
const run = promisify(execFile);
/** Of a copy: as much at once as the product reads and writes. */
const pieceBytes = 1_048_576;

/** The least that the same work takes: bubblewrap by itself, `nsenter` into one that lives, and a copy on the plain disk. */
export async function connectBareSandbox(): Promise<Target> {
  let stored = await namelessFile();
  const living = spawn('bwrap', [...walls, 'sh', '-c', 'echo up; exec sleep 3600'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(living.stdout, 'data');
  const inside = await innermost(living);
  const shell = new BareShell();
  const sandbox: SandboxSteps = {
    create: async () => {
      await shell.run(`bwrap ${walls.join(' ')} /bin/true`);
      return async () => undefined;
    },
    open: async () => {
      const idle = spawn('bwrap', [...walls, 'sleep', '3600'], { stdio: 'ignore' });
      await once(idle, 'spawn');
      return { exec: async () => undefined, end: async () => void idle.kill('SIGKILL') };
    },
    exec: () => shell.run(`nsenter -t ${inside} -a /bin/true`),
    upload: async (path) => {
      const before = stored.file;
      stored = await namelessFile();
      await copy(path, stored.path);
      return () => before.close();
    },
    download: (path) => copy(stored.path, path),
  };
  return {
    call: () => Promise.reject(new Error('a bare sandbox has no methods')),
    sandbox,
    close: async () => {
      living.kill('SIGKILL');
      shell.close();
      await stored.file.close();
    },
  };
}

function copy(from: string, to: string): Promise<void> {
  const atOnce = { highWaterMark: pieceBytes };
  return pipeline(createReadStream(from, atOnce), createWriteStream(to, atOnce));
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
