import type { Command } from 'commander';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { logDocument } from './documents.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseScope } from './references.js';

interface LogsOptions extends ConnectionOptions, JsonOption {
  readonly follow?: boolean;
  readonly tail: number;
}

const defaultTail = 100;

/** `holdfast logs [APP[/CLASS[/ID]]]` */
export function registerLogs(program: Command, context: CommandContext): void {
  const command = program
    .command('logs')
    .description('show what instances printed and logged')
    .argument('[app[/class[/id]]]', 'only these; default: all')
    .option('-f, --follow', 'go on with new lines as they come')
    .option('--tail <count>', 'begin with the last so many lines', positiveNumber, defaultTail);
  withConnection(command).action(async (scope: string | undefined, options: LogsOptions) =>
    printLogs(scope, options, context),
  );
}

async function printLogs(scope: string | undefined, options: LogsOptions, context: CommandContext): Promise<void> {
  const { terminal, signal, env } = context;
  const query = { scope: parseScope(scope), follow: options.follow === true, tail: options.tail, signal };
  const connection = findConnection(options, env);
  const { logLineText, readLogLines } = await import('./log-stream.js');
  let isEmpty = true;
  for await (const line of readLogLines(connection, query)) {
    isEmpty = false;
    terminal.print(options.json ? toJson(logDocument(line)) : logLineText(line, terminal));
  }
  if (isEmpty && !signal.aborted) terminal.note(`no lines${scope === undefined ? '' : ` of ${scope}`}`);
}
