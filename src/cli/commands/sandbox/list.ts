import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';
import { parsePlace, parseSessionReference } from './session-reference.js';

interface ListOptions extends ConnectionOptions, JsonOption {
  readonly long?: boolean;
}

/** `holdfast sandbox ls SESSION[:PATH]` */
export function registerList(program: Command, context: CommandContext): void {
  const command = program
    .command('ls')
    .description('list a directory of a session')
    .argument('<session[:path]>', 'APP/SANDBOX/ID; default: where its commands start')
    .option('-l, --long', 'with types, sizes and times');
  withConnection(command).action(async (place: string, options: ListOptions) => list(place, options, context));
}

async function list(text: string, options: ListOptions, context: CommandContext): Promise<void> {
  const place = parsePlace(text);
  const reference = place.side === 'there' ? place.session : parseSessionReference(text);
  const path = place.side === 'there' ? place.path : '.';
  const connection = findConnection(options, context.env);
  const { withSession } = await import('./with-session.js');
  const { terminal } = context;
  await withSession(connection, { reference, context }, async (session) => {
    const names = await session.listdir(path);
    if (!options.long) {
      if (options.json) terminal.print(toJson(names));
      else for (const name of names) terminal.print(name);
      return;
    }
    const prefix = path.endsWith('/') ? path : `${path}/`;
    const stats = await Promise.all(names.map((name) => session.stat(`${prefix}${name}`)));
    if (options.json) return terminal.print(toJson(stats));
    const rows = stats.map(({ type, mode, size, modifiedAt }, at) => [
      type,
      mode.toString(8).padStart(4, '0'),
      String(size),
      modifiedAt.toISOString().slice(0, 19).replace('T', ' '),
      names[at] ?? '',
    ]);
    const columns = [{ title: 'TYPE' }, { title: 'MODE' }, { title: 'SIZE', align: 'right' as const }];
    for (const line of tableLines([...columns, { title: 'MODIFIED' }, { title: 'NAME' }], rows, terminal)) {
      terminal.print(line);
    }
  });
}
