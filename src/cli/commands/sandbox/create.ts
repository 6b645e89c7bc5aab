import { type Command, InvalidArgumentError } from 'commander';
import type { SessionOptions } from '../../../common/session-options.js';
import { toJson } from '../../output/json-value.js';
import { withProgress } from '../../output/progress.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, keyValue, positiveNumber, withConnection } from '../options.js';
import { parseSandboxReference } from './session-reference.js';

interface CreateOptions extends ConnectionOptions, JsonOption {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly idleTimeout?: number;
  readonly lifetime?: number;
  readonly network?: 'none' | 'all' | readonly string[];
  readonly tag?: readonly string[];
}

/** `holdfast sandbox create APP/SANDBOX [ID]` */
export function registerCreate(program: Command, context: CommandContext): void {
  const command = program
    .command('create')
    .description('make a session, or join the one of that id')
    .argument('<app/sandbox>', 'as it is deployed')
    .argument('[id]', 'default: a fresh one')
    .option('--cwd <path>', 'where commands start; made where it is missing')
    .option('--env <key=value>', 'a variable of its commands; repeatable', keyValue)
    .option('--idle-timeout <ms>', 'asleep after this long without a call', positiveNumber)
    .option('--lifetime <ms>', 'closed after this long', positiveNumber)
    .option('--network <policy>', 'none (default), all, or domains and CIDR ranges: a.com,10.1.0.0/16', networkPolicy)
    .option('--tag <tag>', 'for lists; repeatable', (tag: string, before: string[] = []) => [...before, tag]);
  withConnection(command).action(async (reference: string, id: string | undefined, options: CreateOptions) =>
    create({ reference, id }, options, context),
  );
}

async function create(
  target: { readonly reference: string; readonly id: string | undefined },
  options: CreateOptions,
  context: CommandContext,
): Promise<void> {
  const { app, sandbox: name } = parseSandboxReference(target.reference);
  const connection = findConnection(options, context.env);
  const [{ withClient }, { Sandbox }] = await Promise.all([
    import('../client-access.js'),
    import('../../../sdk/sandbox/sandbox.js'),
  ]);
  const given = sessionOptions(options);
  const session = await withClient(connection, (client) =>
    withProgress(`making a session of ${target.reference}`, context, async () => {
      const sandbox = await Sandbox.fromName(app, name, { client });
      return target.id === undefined ? await sandbox.create(given) : await sandbox.named(target.id, given);
    }),
  );
  const { handle } = session;
  context.terminal.print(options.json ? toJson({ handle }) : `${handle.app}/${handle.name}/${handle.id}`);
}

function sessionOptions({ cwd, env, idleTimeout, lifetime, network, tag }: CreateOptions): SessionOptions {
  return {
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env }),
    ...(idleTimeout === undefined ? {} : { idleTimeoutMs: idleTimeout }),
    ...(lifetime === undefined ? {} : { lifetimeMs: lifetime }),
    ...(network === undefined ? {} : { network: { outbound: network } }),
    ...(tag === undefined ? {} : { tags: tag }),
  };
}

function networkPolicy(text: string): 'none' | 'all' | string[] {
  if (text === 'none' || text === 'all') return text;
  const hosts = text.split(',').map((host) => host.trim());
  if (hosts.includes('')) throw new InvalidArgumentError('Write none, all, or hosts separated by commas.');
  return hosts;
}
