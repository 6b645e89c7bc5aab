import { constants } from 'node:os';
import type { Command } from 'commander';
import type { SandboxProcess } from '../../../sdk/sandbox/sandbox-process.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, positiveNumber, wholeNumber, withConnection } from '../options.js';
import { writeOut } from '../write-out.js';
import { commandExit } from './command-exit.js';
import { runInTerminal } from './run-in-terminal.js';
import { parseSessionReference } from './session-reference.js';

interface AttachOptions extends ConnectionOptions {
  readonly fromOffset: number;
  readonly stdin?: boolean;
}

const notes = `
It prints what the process has printed and goes on until that ends; Ctrl-C
leaves it running. With --stdin this terminal becomes that of a process that
has one.`;

/** `holdfast sandbox attach SESSION PID` */
export function registerAttach(program: Command, context: CommandContext): void {
  const command = program
    .command('attach')
    .description('follow a process that a program has started in a session')
    .argument('<session>', 'APP/SANDBOX/ID')
    .argument('<pid>', 'see `holdfast sandbox ps`', positiveNumber)
    .option('--from-offset <bytes>', 'leave out what came before', wholeNumber, 0)
    .option('-i, --stdin', 'type into it')
    .addHelpText('after', notes);
  withConnection(command).action(async (session: string, pid: number, options: AttachOptions) =>
    attach({ session, pid }, options, context),
  );
}

async function attach(
  target: { readonly session: string; readonly pid: number },
  options: AttachOptions,
  context: CommandContext,
): Promise<void> {
  const reference = parseSessionReference(target.session);
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  const end = await withSession(connection, { reference, context }, async (session) => {
    const child = await session.process(target.pid);
    const { stdin, stdout } = process;
    if (options.stdin && stdin.isTTY && stdout.isTTY) {
      return await runInTerminal(child, { stdin, stdout }, options.fromOffset);
    }
    return await follow(child, options.fromOffset, context.signal);
  });
  if (end !== null) throw commandExit(end, constants.signals);
}

/** Null: left at Ctrl-C. */
async function follow(
  child: SandboxProcess,
  fromOffset: number,
  signal: AbortSignal,
): Promise<{ readonly exitCode: number | null; readonly signal: string | null } | null> {
  const events = child.output({ fromOffset })[Symbol.asyncIterator]();
  const stop = (): void => void events.return?.();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (let step = await events.next(); !step.done; step = await events.next()) {
      const event = step.value;
      if (event.type === 'exit') return event;
      if (event.type !== 'start')
        await writeOut(event.type === 'stdout' ? process.stdout : process.stderr, event.bytes);
    }
    return null;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
