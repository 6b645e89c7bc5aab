import type { Command } from 'commander';
import { shortDuration } from '../../output/durations.js';
import { toJson } from '../../output/json-value.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';
import { parseSessionReference } from './session-reference.js';

/** `holdfast sandbox ps SESSION` */
export function registerProcesses(program: Command, context: CommandContext): void {
  const command = program
    .command('ps')
    .description('list the processes of a session')
    .argument('<session>', 'APP/SANDBOX/ID');
  withConnection(command).action(async (session: string, options: ConnectionOptions & JsonOption) =>
    processes(session, options, context),
  );
}

async function processes(
  text: string,
  options: ConnectionOptions & JsonOption,
  context: CommandContext,
): Promise<void> {
  const reference = parseSessionReference(text);
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  const info = await withSession(connection, { reference, context }, (session) => session.inspect());
  const { terminal, clock } = context;
  if (options.json) return terminal.print(toJson(info.processes));
  const rows = info.processes.map(({ pid, startedAt, command }) => [
    String(pid),
    shortDuration(clock.now() - startedAt.getTime()),
    command.join(' '),
  ]);
  const columns = [
    { title: 'PID', align: 'right' },
    { title: 'AGE', align: 'right' },
    { title: 'COMMAND', shrinksTo: 20 },
  ] as const;
  for (const line of rows.length === 0 ? [] : tableLines(columns, rows, terminal)) terminal.print(line);
  if (rows.length === 0) terminal.note('no processes');
  const { memoryBytes, files, cwd } = info;
  const onDisk = files === null ? '' : `, ${files.count} files of ${Math.round(files.bytes / 1_048_576)} MB`;
  terminal.note(`${Math.round(memoryBytes / 1_048_576)} MB of memory${onDisk}, starting in ${cwd}`);
}
