import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { isVariableName, type Variables } from '../../common/secret.js';
import { toJson } from '../output/json-value.js';
import { minuteText } from '../output/minute-text.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';

interface SetOptions extends ConnectionOptions, JsonOption {
  readonly variables?: boolean;
}

type Options = ConnectionOptions & JsonOption;

const fromInput = `
The value comes from standard input, or is asked for; it is never an
argument, which others of this machine could read:
  holdfast secret set HF_TOKEN < token.txt
  holdfast secret set --variables database < database.env`;

/** `holdfast secret set | ls | rm | rotate-key` */
export function registerSecret(program: Command, context: CommandContext): void {
  const secret = program.command('secret').description('keep values for the environment of classes').helpCommand(false);
  const set = secret
    .command('set')
    .description('make or replace a secret')
    .argument('<name>', 'also of its variable')
    .option('--variables', 'lines NAME=VALUE, for a secret of several variables')
    .addHelpText('after', fromInput);
  withConnection(set).action(async (name: string, options: SetOptions) => setSecret(name, options, context));
  withConnection(secret.command('ls').description('list names and times, never values')).action(
    async (options: Options) => listSecrets(options, context),
  );
  withConnection(secret.command('rm').description('delete a secret').argument('<name>')).action(
    async (name: string, options: Options) => removeSecret(name, options, context),
  );
  const rotate = secret.command('rotate-key').description("wrap all under the routers' newest master key");
  withConnection(rotate).action(async (options: Options) => rotateKey(options, context));
}

async function setSecret(name: string, options: SetOptions, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const [{ readSecret }, { withClient }, { Secret }] = await Promise.all([
    import('./read-secret.js'),
    import('./client-access.js'),
    import('../../sdk/secret.js'),
  ]);
  const text = await readSecret(`value of ${name}: `, context);
  const value = options.variables ? variablesIn(text) : text;
  const made = await withClient(connection, (client) => Secret.set(name, value, { client }));
  const { terminal } = context;
  const { createdAt, updatedAt } = made;
  terminal.print(options.json ? toJson({ name, createdAt, updatedAt }) : `set ${name}`);
}

async function listSecrets(options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const [{ withClient }, { Secret }] = await Promise.all([import('./client-access.js'), import('../../sdk/secret.js')]);
  const secrets = await withClient(connection, (client) => Secret.list({ client }));
  const { terminal } = context;
  if (options.json)
    return terminal.print(toJson(secrets.map(({ name, createdAt, updatedAt }) => ({ name, createdAt, updatedAt }))));
  if (secrets.length === 0) return terminal.note('no secrets: `holdfast secret set NAME` makes one');
  const { tableLines } = await import('../output/table.js');
  const columns = [{ title: 'SECRET', shrinksTo: 12 }, { title: 'MADE' }, { title: 'SET' }] as const;
  const rows = secrets.map(({ name, createdAt, updatedAt }) => [name, timeOf(createdAt), timeOf(updatedAt)]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

async function removeSecret(name: string, options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const [{ withClient }, { Secret }] = await Promise.all([import('./client-access.js'), import('../../sdk/secret.js')]);
  const { deleted } = await withClient(connection, (client) => Secret.fromName(name).delete({ client }));
  if (!deleted)
    throw new HoldfastError('NotFound', `no secret ${name}: \`holdfast secret ls\` shows those that there are`);
  context.terminal.print(options.json ? toJson({ name, deleted }) : `deleted ${name}`);
}

async function rotateKey(options: Options, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('./router-access.js');
  const rotated = await withRouter(connection, context, (router) => router.ask(routerMethods.rotateSecretKey, {}));
  const { keyId, rewrapped, secrets } = rotated;
  context.terminal.print(
    options.json
      ? toJson(rotated)
      : `${rewrapped} of ${secrets} secrets wrapped anew; all are under master key ${keyId}`,
  );
}

/** @throws InvalidArgument, without the line */
function variablesIn(text: string): Variables {
  const variables: Record<string, string> = {};
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    const name = line.slice(0, at).trim();
    if (at < 1 || !isVariableName(name))
      throw new HoldfastError('InvalidArgument', `line ${index + 1} of the input is not NAME=VALUE`);
    variables[name] = line.slice(at + 1);
  }
  return variables;
}

function timeOf(at: Date | null): string {
  return at === null ? '-' : minuteText(at);
}
