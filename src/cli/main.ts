#!/usr/bin/env node
import { type Command, CommanderError } from 'commander';
import { systemClock } from '../adapters/system/clock.js';
import { HoldfastError } from '../common/errors.js';
import { CommandExit } from './commands/sandbox/command-exit.js';
import { reportError } from './output/errors.js';
import { exitCodeOf, exitCodes } from './output/exit-codes.js';
import { createTerminal, type Terminal } from './output/terminal.js';
import { createProgram } from './program.js';
import { tuneV8 } from './tune-v8.js';

/** What a shell shows for a process that Ctrl-C ended. */
const interrupted = 130;
const servers = ['dev', 'router', 'worker'];

async function main(): Promise<void> {
  if (servers.includes(process.argv[2] ?? '')) tuneV8();
  // What it has to say reaches us as errors.
  process.env['GRPC_VERBOSITY'] ??= 'NONE';
  // Node's, of how grpc-js greets a server with TLS by its IP address.
  process.noDeprecation = true;
  const terminal = createTerminal(process, process.env);
  // Who reads our output may go away first, as `head` does; a server outlives the collector of its log.
  process.stdout.on('error', () => {
    if (!servers.includes(process.argv[2] ?? '')) process.exit(exitCodes.ok);
  });
  const program = createProgram({ terminal, env: process.env, clock: systemClock, signal: stopSignal() });
  const exitCode = await run(program, terminal);
  // Not by falling off the end: nothing that a command left open may keep its caller waiting.
  process.exit(exitCode);
}

async function run(program: Command, terminal: Terminal): Promise<number> {
  try {
    await program.parseAsync();
    return exitCodes.ok;
  } catch (e) {
    const error = e instanceof CommanderError ? usageError(e, program) : e;
    if (error === null) return e instanceof CommanderError && e.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (e instanceof CommandExit) return e.exitCode;
    reportError(error, terminal, { json: process.argv.includes('--json') });
    return exitCodeOf(error);
  }
}

/** Null where what commander throws was help that was asked for, or is help already. */
function usageError(e: CommanderError, program: Command): HoldfastError | null {
  if (e.exitCode === 0 || e.code === 'commander.help') return null;
  const [, , name, about] = process.argv;
  const command = program.commands.find((known) => known.name() === name);
  const below = command?.commands.find((known) => known.name() === about);
  const wanted = [command?.name(), below?.name()].filter((part) => part !== undefined);
  const help =
    command === undefined ? '`holdfast help` shows the commands' : `\`holdfast help ${wanted.join(' ')}\` shows how`;
  const what = e.message
    .replace(/^error: /, '')
    .replace(/\.$/, '')
    .replaceAll('\n', ' ');
  return new HoldfastError('InvalidArgument', `${what}; ${help}`, { cause: e });
}

/** Aborts at the first Ctrl-C or SIGTERM; the second ends the process at once. */
function stopSignal(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(interrupted);
    stop.abort(new HoldfastError('Cancelled', 'stopped', { outcome: 'unknown' }));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  // Its terminal was closed. For routers and workers that is nohup's business.
  if (process.argv[2] === 'dev') process.on('SIGHUP', onSignal);
  return stop.signal;
}

await main();
