import type { Command } from 'commander';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { parseJsonArguments } from './json-arguments.js';
import type { NamedTarget } from './named-instance.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseClassReference } from './references.js';
import { TimeLimit } from './time-limit.js';

interface CallCommandOptions extends ConnectionOptions, JsonOption {
  readonly init?: string;
  readonly timeout?: number;
  readonly spawn?: boolean;
}

const examples = `
Examples:
  holdfast call demo/Counter visits increment
  holdfast call demo/Greeter one greet '["Ada"]' --init '["Hello, "]'`;

/** `holdfast call APP/CLASS INSTANCE METHOD [JSON-ARGS]` */
export function registerCall(program: Command, context: CommandContext): void {
  const command = program
    .command('call')
    .description('call a method; the instance is made at its first use')
    .argument('<app/class>')
    .argument('<instance>', 'its id')
    .argument('<method>')
    .argument('[json-args]', 'a JSON array of arguments')
    .option('--init <json-args>', "the constructor's arguments; default: none, or the first ones")
    .option('--spawn', 'start it and print its id, for `holdfast calls`')
    .option('--timeout <ms>', 'give up after this long, waiting included', positiveNumber)
    .addHelpText('after', examples);
  withConnection(command).action(async (...given: [string, string, string, string | undefined, CallCommandOptions]) => {
    const [reference, id, method, args, options] = given;
    await callNamed({ target: { reference, id, init: options.init }, method, args }, options, context);
  });
}

async function callNamed(
  call: { readonly target: NamedTarget; readonly method: string; readonly args: string | undefined },
  options: CallCommandOptions,
  context: CommandContext,
): Promise<void> {
  // Before anything is loaded or asked: what is wrong with the command line itself.
  parseClassReference(call.target.reference);
  parseJsonArguments(options.init, '--init');
  const args = parseJsonArguments(call.args, 'JSON-ARGS');
  const connection = findConnection(options, context.env);
  const limit = new TimeLimit(options.timeout, context);
  const { json = false, spawn = false } = options;
  const [{ withClient }, { namedInstance }, { runMethod }] = await Promise.all([
    import('./client-access.js'),
    import('./named-instance.js'),
    import('./run-method.js'),
  ]);
  await withClient(connection, async (client) => {
    const { reference, id } = call.target;
    const instance = await withProgress(`looking for ${reference}/${id}`, context, () =>
      namedInstance(client, call.target, limit),
    );
    await runMethod(instance, { method: call.method, args, json, spawn, limit }, context);
  });
}
