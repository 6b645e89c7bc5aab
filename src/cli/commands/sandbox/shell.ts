import { constants } from 'node:os';
import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, withConnection } from '../options.js';
import { commandExit } from './command-exit.js';
import { commandWords } from './command-words.js';
import { runInTerminal } from './run-in-terminal.js';
import { parseSessionReference } from './session-reference.js';

/** What a session's shell is, where it has one of them. */
const startShell = 'exec "$(command -v bash || command -v sh)" -i';

/** `holdfast sandbox shell SESSION [COMMAND…]` */
export function registerShell(program: Command, context: CommandContext): void {
  const command = program
    .command('shell')
    .description('an interactive terminal in a session')
    .argument('<session>', 'APP/SANDBOX/ID')
    .argument('[command...]', 'default: bash, else sh')
    .passThroughOptions();
  withConnection(command).action(async (session: string, given: string[]) => {
    const words = commandWords(command, given);
    await shell({ session, words }, command.opts<ConnectionOptions>(), context);
  });
}

async function shell(
  call: { readonly session: string; readonly words: readonly string[] },
  options: ConnectionOptions,
  context: CommandContext,
): Promise<void> {
  const reference = parseSessionReference(call.session);
  const connection = findConnection(options, context.env);
  const { stdin, stdout } = process;
  if (!stdin.isTTY || !stdout.isTTY) {
    throw new HoldfastError('InvalidArgument', 'a shell needs a terminal; use `holdfast sandbox exec` in scripts');
  }
  const { withSession } = await import('./with-session.js');
  const end = await withSession(connection, { reference, context }, async (session) => {
    const command = call.words.length > 0 ? call.words : ['/bin/sh', '-c', startShell];
    const pty = { cols: stdout.columns, rows: stdout.rows };
    const child = await session.spawn(command, { pty, env: { TERM: context.env['TERM'] ?? 'xterm' } });
    // Its terminal goes, or somebody ends this program: nobody would end the shell.
    const hangUp = (): void => void child.kill('SIGHUP').catch(() => undefined); // it has just ended
    process.on('SIGHUP', hangUp);
    context.signal.addEventListener('abort', hangUp, { once: true });
    return await runInTerminal(child, { stdin, stdout });
  });
  throw commandExit(end, constants.signals);
}
