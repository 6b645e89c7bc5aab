import type { Command } from 'commander';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { parseJsonArguments } from './json-arguments.js';
import { type ConnectionOptions, type JsonOption, withConnection } from './options.js';
import { parseClassReference } from './references.js';

interface HandleOptions extends ConnectionOptions, JsonOption {
  readonly init?: string;
}

/** `holdfast handle APP/CLASS INSTANCE` */
export function registerHandle(program: Command, context: CommandContext): void {
  const command = program
    .command('handle')
    .description('print the handle of an instance, which is made where it is not there')
    .argument('<app/class>')
    .argument('<instance>', 'its id')
    .option('--init <json-args>', "the constructor's arguments");
  withConnection(command).action(async (reference: string, id: string, options: HandleOptions) =>
    printHandle({ reference, id }, options, context),
  );
}

async function printHandle(
  target: { readonly reference: string; readonly id: string },
  options: HandleOptions,
  context: CommandContext,
): Promise<void> {
  parseClassReference(target.reference);
  parseJsonArguments(options.init, '--init');
  const connection = findConnection(options, context.env);
  const [{ unlessStopped, withClient }, { namedInstance }] = await Promise.all([
    import('./client-access.js'),
    import('./named-instance.js'),
  ]);
  await withClient(connection, async (client) => {
    const instance = await unlessStopped(namedInstance(client, { ...target, init: options.init }), context);
    context.terminal.print(instance.handleJson);
  });
}
