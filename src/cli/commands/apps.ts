import type { Command } from 'commander';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

/** `holdfast apps` */
export function registerApps(program: Command, context: CommandContext): void {
  withConnection(
    program.command('apps').description('list the deployed apps with their classes, functions and sandboxes'),
  ).action(async (options: ConnectionOptions & JsonOption) => listApps(options, context));
}

async function listApps(options: ConnectionOptions & JsonOption, context: CommandContext): Promise<void> {
  const { routerMethods, withRouter } = await import('./router-access.js');
  const connection = findConnection(options, context.env);
  const { apps } = await withRouter(connection, context, (router) => router.ask(routerMethods.listApps, {}));
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(apps));
  if (apps.length === 0) return terminal.note('no apps: deploy one with `holdfast deploy MODULE`');
  const { tableLines } = await import('../output/table.js');
  const columns = [
    { title: 'APP', shrinksTo: 12 },
    { title: 'DEPLOYMENT', align: 'right' },
    { title: 'RESOURCES', shrinksTo: 20 },
  ] as const;
  const rows = apps.map((app) => [app.name, String(app.deployment), app.resources.join(', ')]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}
