import type { ReadStream, WriteStream } from 'node:tty';
import { HoldfastError } from '../../../common/errors.js';
import type { SandboxProcess } from '../../../sdk/sandbox/sandbox-process.js';
import type { SandboxStreamEvent } from '../../../sdk/sandbox/types.js';
import { writeOut } from '../write-out.js';

/** A terminal, as its process has it. */
export interface LocalTerminal {
  readonly stdin: ReadStream;
  readonly stdout: WriteStream;
}

type Exit = Extract<SandboxStreamEvent, { type: 'exit' }>;

/**
 * Joins this terminal and that of a process: keys go there as they are typed, Ctrl-C too, and so does a new size. The terminal
 * is as before when this ends, however it ends.
 */
export async function runInTerminal(
  child: SandboxProcess,
  { stdin, stdout }: LocalTerminal,
  fromOffset = 0,
): Promise<Exit> {
  const resize = (): void => {
    child.resize(stdout.columns, stdout.rows).catch(() => undefined); // it has just ended
  };
  const typed = (bytes: Buffer): void => {
    child.write(bytes).catch(() => undefined); // as above
  };
  stdin.setRawMode(true);
  stdin.on('data', typed);
  stdout.on('resize', resize);
  try {
    for await (const event of child.output({ fromOffset })) {
      if (event.type === 'exit') return event;
      if (event.type !== 'start') await writeOut(stdout, event.bytes);
    }
    throw new HoldfastError('Internal', 'the process ended without an exit', { outcome: 'unknown' });
  } finally {
    stdout.off('resize', resize);
    stdin.off('data', typed);
    stdin.pause();
    stdin.setRawMode(false);
  }
}
