import type { Command } from 'commander';
import type { InstanceView } from '../../wire/gen/holdfast/v1/router.js';
import { shortDuration } from '../output/durations.js';
import { instanceStateText } from '../output/instance-state.js';
import { toJson } from '../output/json-value.js';
import type { CommandContext } from './command-context.js';
import { type Connection, findConnection } from './connection.js';
import { instanceDocument } from './documents.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseScope, type Scope } from './references.js';

interface PsOptions extends ConnectionOptions, JsonOption {
  readonly limit: number;
}

const pageSize = 500;

/** `holdfast ps [APP[/CLASS]]` */
export function registerPs(program: Command, context: CommandContext): void {
  const command = program
    .command('ps')
    .description('list instances, oldest first')
    .argument('[app[/class]]', 'only these; default: all')
    .option('--limit <count>', 'at most this many', positiveNumber, 1_000);
  withConnection(command).action(async (scope: string | undefined, options: PsOptions) =>
    listInstances(parseScope(scope), options, context),
  );
}

async function listInstances(scope: Scope, options: PsOptions, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const instances = await collect(scope, { connection, limit: options.limit, context });
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(instances.map(instanceDocument)));
  if (instances.length === 0) return terminal.note('no instances');
  const { tableLines } = await import('../output/table.js');
  const now = context.clock.now();
  const rows = instances.map((instance) => [
    `${instance.app}/${instance.name}`,
    instance.id,
    instanceStateText(instance.state, terminal),
    instance.workerId ?? '-',
    String(instance.running),
    String(instance.pending),
    `v${instance.deployment}`,
    shortDuration(now - instance.createdAtMs),
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
  if (instances.length === options.limit) terminal.note(`the first ${options.limit}; --limit shows more`);
}

const columns = [
  { title: 'APP/CLASS', shrinksTo: 10 },
  { title: 'INSTANCE', shrinksTo: 10 },
  { title: 'STATE' },
  { title: 'WORKER', shrinksTo: 8 },
  { title: 'RUN', align: 'right' },
  { title: 'WAIT', align: 'right' },
  { title: 'DEPL', align: 'right' },
  { title: 'AGE', align: 'right' },
] as const;

async function collect(
  scope: Scope,
  from: { readonly connection: Connection; readonly limit: number; readonly context: CommandContext },
): Promise<InstanceView[]> {
  const { routerMethods, withRouter } = await import('./router-access.js');
  const found: InstanceView[] = [];
  await withRouter(from.connection, from.context, async (router) => {
    let after = '';
    do {
      const limit = Math.min(pageSize, from.limit - found.length);
      const page = await router.ask(routerMethods.listInstances, {
        app: scope.app,
        className: scope.className,
        limit,
        after,
      });
      found.push(...page.instances);
      after = page.next;
    } while (after !== '' && found.length < from.limit);
  });
  return found.slice(0, from.limit);
}
