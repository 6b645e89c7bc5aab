import type { Command } from 'commander';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { parseJsonArguments } from './json-arguments.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseClassReference } from './references.js';
import { TimeLimit } from './time-limit.js';

interface HandleOptions extends ConnectionOptions, JsonOption {
  readonly init?: string;
  readonly timeout?: number;
}

/** `holdfast handle APP/CLASS INSTANCE` */
export function registerHandle(program: Command, context: CommandContext): void {
  const command = program
    .command('handle')
    .description('print the handle of an instance, which is made where it is not there')
    .argument('<app/class>')
    .argument('<instance>', 'its id')
    .option('--init <json-args>', "the constructor's arguments")
    .option('--timeout <ms>', 'give up after this long', positiveNumber);
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
  const limit = new TimeLimit(options.timeout, context);
  const [{ withClient }, { namedInstance }] = await Promise.all([
    import('./client-access.js'),
    import('./named-instance.js'),
  ]);
  await withClient(connection, async (client) => {
    const instance = await withProgress(`looking for ${target.reference}/${target.id}`, context, () =>
      namedInstance(client, { ...target, init: options.init }, limit),
    );
    context.terminal.print(instance.handleJson);
  });
}
