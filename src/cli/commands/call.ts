import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { parseJsonArguments } from './json-arguments.js';
import type { NamedTarget } from './named-instance.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseClassReference, parseFunctionReference } from './references.js';
import { TimeLimit } from './time-limit.js';

interface CallCommandOptions extends ConnectionOptions, JsonOption {
  readonly init?: string;
  readonly timeout?: number;
  readonly spawn?: boolean;
}

const examples = `
Examples:
  holdfast call demo/Counter visits increment
  holdfast call demo/Greeter one greet '["Ada"]' --init '["Hello, "]'
  holdfast call demo/thumbnail '["https://example.org/a.png"]'`;

/** `holdfast call APP/CLASS INSTANCE METHOD [JSON-ARGS]`, `holdfast call APP/FUNCTION [JSON-ARGS]` */
export function registerCall(program: Command, context: CommandContext): void {
  const command = program
    .command('call')
    .description('call a method, or a function; the instance is made at its first use')
    .argument('<app/class>', 'or app/function, followed by its arguments')
    .argument('[instance]', 'its id')
    .argument('[method]')
    .argument('[json-args]', 'a JSON array of arguments')
    .option('--init <json-args>', "the constructor's arguments; default: none, or the first ones")
    .option('--spawn', 'start it and print its id, for `holdfast calls`')
    .option('--timeout <ms>', 'give up after this long, waiting included', positiveNumber)
    .addHelpText('after', examples);
  type Word = string | undefined;
  withConnection(command).action(async (...given: [string, Word, Word, Word, CallCommandOptions]) => {
    const [reference, id, method, args, options] = given;
    if (id === undefined || method === undefined) return callFunction({ reference, args: id }, options, context);
    await callNamed({ target: { reference, id, init: options.init }, method, args }, options, context);
  });
}

async function callFunction(
  call: { readonly reference: string; readonly args: string | undefined },
  options: CallCommandOptions,
  context: CommandContext,
): Promise<void> {
  const reference = parseFunctionReference(call.reference);
  if (options.init !== undefined) {
    throw new HoldfastError('InvalidArgument', '--init is for instances; a function has no constructor');
  }
  const args = parseJsonArguments(call.args, 'JSON-ARGS');
  const connection = findConnection(options, context.env);
  const limit = new TimeLimit(options.timeout, context);
  const { json = false, spawn = false } = options;
  const [{ withClient }, { runFunction }] = await Promise.all([
    import('./client-access.js'),
    import('./run-function.js'),
  ]);
  await withClient(connection, (client) => runFunction({ client, reference, args, json, spawn, limit }, context));
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
