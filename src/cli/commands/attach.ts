import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { parseJsonArguments } from './json-arguments.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { TimeLimit } from './time-limit.js';

interface AttachOptions extends ConnectionOptions, JsonOption {
  readonly timeout?: number;
}

const examples = `
Examples:
  holdfast handle demo/Counter visits > visits.json
  holdfast attach @visits.json increment
  holdfast handle demo/Counter visits | holdfast attach - increment`;

/** `holdfast attach HANDLE METHOD [JSON-ARGS]` */
export function registerAttach(program: Command, context: CommandContext): void {
  const command = program
    .command('attach')
    .description('call a method of the instance of a handle, which is never made anew')
    .argument('<handle>', 'JSON of the handle, @file, or - for stdin')
    .argument('<method>')
    .argument('[json-args]', 'a JSON array of arguments')
    .option('--timeout <ms>', 'give up after this long, waiting included', positiveNumber)
    .addHelpText('after', examples);
  withConnection(command).action(async (...given: [string, string, string | undefined, AttachOptions]) => {
    const [handle, method, args, options] = given;
    await callAttached({ handle, method, args }, options, context);
  });
}

async function callAttached(
  call: { readonly handle: string; readonly method: string; readonly args: string | undefined },
  options: AttachOptions,
  context: CommandContext,
): Promise<void> {
  const args = parseJsonArguments(call.args, 'JSON-ARGS');
  const connection = findConnection(options, context.env);
  const limit = new TimeLimit(options.timeout, context);
  const read = { what: 'the handle to be read', outcome: 'not-run' } as const;
  const handle = await limit.during(read, readHandle(call.handle));
  const { json = false } = options;
  const [{ withClient }, { Cls }, { runMethod }] = await Promise.all([
    import('./client-access.js'),
    import('../../sdk/classes/cls.js'),
    import('./run-method.js'),
  ]);
  await withClient(connection, async (client) => {
    const attached = { what: 'a worker for the instance, see `holdfast workers`', outcome: 'not-run' } as const;
    const instance = await withProgress('looking for the instance', context, () =>
      limit.during(attached, Cls.fromHandle(handle, { client })),
    );
    await runMethod(instance, { method: call.method, args, json, limit }, context);
  });
}

async function readHandle(given: string): Promise<string> {
  if (given === '-') return (await text(process.stdin)).trim();
  if (existsSync(given)) {
    throw new HoldfastError('InvalidArgument', `${given} is a file: write @${given} for the handle in it`);
  }
  if (!given.startsWith('@')) return given;
  const file = given.slice(1);
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError('FileNotFound', `the handle cannot be read from ${file}: ${why}`, { cause });
  }
}
