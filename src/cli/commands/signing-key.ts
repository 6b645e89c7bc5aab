import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { toJson } from '../output/json-value.js';
import { minuteText } from '../output/minute-text.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

type Options = ConnectionOptions & JsonOption;

const notes = `
Handles, capabilities and what workers show are signed. A new key signs half a
minute after it was made, when every worker has read it; what older keys signed
stays good until they are retired. After a leak: rotate, wait, retire the old
one. Handles that it signed are refused then; the instances of those are found
by their names.`;

/** `holdfast signing-key rotate | ls | retire` */
export function registerSigningKey(program: Command, context: CommandContext): void {
  const group = program
    .command('signing-key')
    .description('rotate the keys that sign handles')
    .helpCommand(false)
    .addHelpText('after', notes);
  withConnection(group.command('rotate').description('make a new key; old ones go on verifying')).action(
    async (options: Options) => rotate(options, context),
  );
  withConnection(group.command('ls').description('list keys, without their secrets')).action(async (options: Options) =>
    list(options, context),
  );
  withConnection(
    group.command('retire').description('refuse what this key signed from now on').argument('<id>'),
  ).action(async (id: string, options: Options) => retire(id, options, context));
}

async function rotate(options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const { id, signsFromMs } = await withRouter(connection, context, (router) =>
    router.ask(routerMethods.rotateSigningKey, {}),
  );
  const signsFrom = new Date(signsFromMs);
  const { terminal } = context;
  if (options.json) return terminal.print(toJson({ id, signsFrom }));
  terminal.print(id);
  terminal.note(`it signs from ${signsFrom.toISOString().slice(11, 19)} UTC on`);
}

async function list(options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const { keys } = await withRouter(connection, context, (router) => router.ask(routerMethods.listSigningKeys, {}));
  const { terminal } = context;
  if (options.json) {
    const documents = keys.map(({ createdAtMs, ...same }) => ({ ...same, createdAt: new Date(createdAtMs) }));
    return terminal.print(toJson(documents));
  }
  const { tableLines } = await import('../output/table.js');
  const columns = [{ title: 'KEY' }, { title: 'MADE' }, { title: '' }] as const;
  const rows = keys.map(({ id, createdAtMs, signs }) => [id, minuteText(new Date(createdAtMs)), signs ? 'signs' : '']);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

async function retire(id: string, options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const { retired } = await withRouter(connection, context, (router) =>
    router.ask(routerMethods.retireSigningKey, { id }),
  );
  if (!retired)
    throw new HoldfastError('NotFound', `no key ${id}: \`holdfast signing-key ls\` shows those that there are`);
  context.terminal.print(options.json ? toJson({ id, retired }) : `retired ${id}`);
}
