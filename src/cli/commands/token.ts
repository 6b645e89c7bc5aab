import { type Command, Option } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import type { Role } from '../../common/ports/store.js';
import { toJson } from '../output/json-value.js';
import { minuteText } from '../output/minute-text.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

interface CreateOptions extends ConnectionOptions, JsonOption {
  readonly role: Role;
  readonly label: string;
  readonly redis?: string | true;
  readonly account: string;
}

const firstToken = `
The first token of a cluster is made directly in its Redis:
  holdfast token create --role deploy --redis redis://127.0.0.1:6379`;

/** `holdfast token create | ls | revoke` */
export function registerToken(program: Command, context: CommandContext): void {
  const token = program.command('token').description('make, list and revoke tokens').helpCommand(false);
  const create = token
    .command('create')
    .description('make a token and print it, once')
    .addOption(
      new Option('--role <role>', 'deploy may do all, read may look')
        .choices(['deploy', 'call', 'read'])
        .default('call'),
    )
    .option('--label <text>', 'what it is for', '')
    .option('--redis [url]', 'directly in this Redis (env: HOLDFAST_REDIS_URL)')
    .option('--account <name>', 'with --redis: of which account', 'default')
    .addHelpText('after', firstToken);
  withConnection(create).action(async (options: CreateOptions) => printNewToken(options, context));
  withConnection(token.command('ls').description('list tokens, without their secrets')).action(
    async (options: ConnectionOptions & JsonOption) => listTokens(options, context),
  );
  withConnection(token.command('revoke').description('refuse a token from now on').argument('<id>')).action(
    async (id: string, options: ConnectionOptions & JsonOption) => revokeToken(id, options, context),
  );
}

async function printNewToken(options: CreateOptions, context: CommandContext): Promise<void> {
  const created = options.redis === undefined ? await askForToken(options, context) : await putToken(options, context);
  const { terminal } = context;
  if (options.json) return terminal.print(toJson({ ...created, role: options.role, label: options.label }));
  terminal.print(created.token);
  terminal.note(`token ${created.id}, role ${options.role}; it is not shown again`);
}

async function askForToken(options: CreateOptions, context: CommandContext): Promise<{ id: string; token: string }> {
  const connection = findConnection(options, context.env);
  const { role, label } = options;
  const { routerMethods, withRouter } = await import('./router-access.js');
  return withRouter(connection, context, (router) => router.ask(routerMethods.createToken, { role, label }));
}

async function putToken(
  options: CreateOptions,
  { env, clock }: CommandContext,
): Promise<{ id: string; token: string }> {
  const url = options.redis === true ? env['HOLDFAST_REDIS_URL'] : options.redis;
  if (!url) throw new HoldfastError('InvalidArgument', 'which Redis? give --redis URL or set HOLDFAST_REDIS_URL');
  const [{ openStore }, { createToken }] = await Promise.all([
    import('../open-store.js'),
    import('../parts/tokens.js'),
  ]);
  const store = await openStore({ kind: 'redis', url }, clock);
  try {
    const { account, role, label } = options;
    return await createToken(store, { account, role, label });
  } finally {
    await store.close();
  }
}

async function listTokens(options: ConnectionOptions & JsonOption, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const { tokens } = await withRouter(connection, context, (router) => router.ask(routerMethods.listTokens, {}));
  const { terminal } = context;
  if (options.json) {
    const documents = tokens.map(({ createdAtMs, ...same }) => ({ ...same, createdAt: new Date(createdAtMs) }));
    return terminal.print(toJson(documents));
  }
  const { tableLines } = await import('../output/table.js');
  const columns = [
    { title: 'TOKEN' },
    { title: 'ROLE' },
    { title: 'MADE' },
    { title: 'LABEL', shrinksTo: 12 },
  ] as const;
  const rows = tokens.map(({ id, role, createdAtMs, label }) => [id, role, minuteText(new Date(createdAtMs)), label]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

async function revokeToken(
  id: string,
  options: ConnectionOptions & JsonOption,
  context: CommandContext,
): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const { revoked } = await withRouter(connection, context, (router) => router.ask(routerMethods.revokeToken, { id }));
  if (!revoked) throw new HoldfastError('NotFound', `no token ${id}: \`holdfast token ls\` shows those that there are`);
  context.terminal.print(options.json ? toJson({ id, revoked }) : `revoked ${id}`);
}
