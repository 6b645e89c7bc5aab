import { constants } from 'node:os';
import type { Command } from 'commander';
import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { ExecOptions } from '../../../sdk/sandbox/types.js';
import { toJson } from '../../output/json-value.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, keyValue, positiveNumber, withConnection } from '../options.js';
import { writeOut } from '../write-out.js';
import { commandExit } from './command-exit.js';
import { commandWords } from './command-words.js';
import { parseSessionReference } from './session-reference.js';

interface ExecCommandOptions extends ConnectionOptions, JsonOption {
  readonly shell?: boolean;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout?: number;
  readonly stdin?: boolean;
}

const notes = `
Its output and exit code are those of the command; what goes wrong before it
runs has an exit code of \`holdfast help exit-codes\`. The options above come
before the command: what follows its name is its own.

Examples:
  holdfast sandbox exec demo/shell/one ls -l /tmp
  holdfast sandbox exec demo/shell/one --shell 'ls | wc -l'
  tar c src | holdfast sandbox exec demo/shell/one --stdin tar x`;

/** `holdfast sandbox exec SESSION COMMAND…` */
export function registerExec(program: Command, context: CommandContext): void {
  const command = program
    .command('exec')
    .description('run a command in a session')
    .argument('<session>', 'APP/SANDBOX/ID')
    .argument('<command...>', 'a program and its arguments')
    .passThroughOptions()
    .option('--shell', 'the command is one line for /bin/sh')
    .option('--cwd <path>', 'where it starts')
    .option('--env <key=value>', 'a variable; repeatable', keyValue)
    .option('--timeout <ms>', 'kill it after this long', positiveNumber)
    .option('-i, --stdin', 'give it the stdin of this command')
    .addHelpText('after', notes);
  withConnection(command).action(async (session: string, given: string[]) => {
    const words = commandWords(command, given);
    await exec({ session, words }, command.opts<ExecCommandOptions>(), context);
  });
}

async function exec(
  call: { readonly session: string; readonly words: readonly string[] },
  options: ExecCommandOptions,
  context: CommandContext,
): Promise<void> {
  const reference = parseSessionReference(call.session);
  const connection = findConnection(options, context.env);
  if (options.shell && call.words.length > 1) {
    throw new HoldfastError('InvalidArgument', '--shell takes the command as one word: quote it');
  }
  const [line] = call.words;
  if (line === undefined) throw new HoldfastError('InvalidArgument', 'which command? Write it after the session');
  const command = options.shell ? line : call.words;
  const { withSession } = await import('./with-session.js');
  const end = await withSession(connection, { reference, context }, async (session) => {
    const how = execOptions(options, context.signal);
    if (options.json) {
      const result = await session.exec(command, how);
      context.terminal.print(toJson(result));
      return result;
    }
    for await (const event of session.execStream(command, how)) {
      if (event.type === 'exit') return event;
      if (event.type !== 'start')
        await writeOut(event.type === 'stdout' ? process.stdout : process.stderr, event.bytes);
    }
    throw new HoldfastError('Internal', 'the command ended without an exit', { outcome: 'unknown' });
  }).catch((e: unknown) => {
    throw isHoldfastError(e, 'FileNotFound') && Array.isArray(command) ? withShellHint(e, command) : e;
  });
  if (end.timedOut) context.terminal.note(`killed after the --timeout of ${options.timeout} ms`);
  throw commandExit(end, constants.signals);
}

/** A line that was quoted as for a shell is taken for the name of a program. */
function withShellHint(error: HoldfastError, words: readonly string[]): HoldfastError {
  if (words.length > 1 || !/\s/.test(words[0] ?? '')) return error;
  return new HoldfastError(error.code, `${error.message}; with --shell this would be a line for /bin/sh`, {
    details: error.details,
  });
}

function execOptions({ shell, cwd, env, timeout, stdin }: ExecCommandOptions, signal: AbortSignal): ExecOptions {
  return {
    signal,
    ...(shell === undefined ? {} : { shell }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(stdin ? { stdin: process.stdin as AsyncIterable<Buffer> } : {}),
  };
}
