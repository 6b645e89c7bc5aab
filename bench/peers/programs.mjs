import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

const path = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin`;
const startsWithinMs = 30_000;
const lookAgainAfterMs = 50;

/**
 * A program that lives no longer than this process; what it says goes to `<folder>/<name>.log`, what it writes to
 * descriptor 3 is `told`. `ended` never resolves, and rejects with the end of that log.
 */
export function startProgram(name, { file, args, folder, env = {} }) {
  const logFile = join(folder, `${name}.log`);
  const child = spawn(file, args, {
    cwd: folder,
    env: { PATH: path, HOME: folder, TMPDIR: folder, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  // Before the folder goes that it works in (host-main).
  process.prependOnceListener('exit', () => child.kill('SIGKILL'));
  const log = createWriteStream(logFile);
  for (const output of [child.stdout, child.stderr]) output.pipe(log, { end: false });
  const ended = once(child, 'exit').then(
    ([code, signal]) => Promise.reject(new Error(`${name} ended with ${code ?? signal}: ${lastLineOf(logFile)}`)),
    (error) => Promise.reject(new Error(`${name} did not start: ${error.message}`)),
  );
  ended.catch(() => undefined); // once it runs nobody waits for that
  return { pid: child.pid, told: child.stdio[3], ended };
}

/** Asks again for as long as `look` throws. @throws when the program ends, or the time is over */
export function untilReady(program, look) {
  const patience = AbortSignal.timeout(startsWithinMs);
  const looking = async () => {
    for (;;) {
      try {
        return await look(patience);
      } catch (error) {
        if (patience.aborted) throw new Error(`not ready within ${startsWithinMs} ms: ${error.message}`);
      }
      await new Promise((resolve) => setTimeout(resolve, lookAgainAfterMs));
    }
  };
  return Promise.race([looking(), program.ended]);
}

/** Ports on which nobody listens now, all different. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

function lastLineOf(file) {
  return readFileSync(file, 'utf8').trim().split('\n').at(-1) || 'it said nothing';
}
