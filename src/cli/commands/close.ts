import type { Command } from 'commander';
import { HoldfastError } from '../../common/errors.js';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';
import { parseClassReference } from './references.js';
import { TimeLimit } from './time-limit.js';

interface CloseCommandOptions extends ConnectionOptions, JsonOption {
  readonly force?: boolean;
  readonly timeout: number;
}

const defaultTimeoutMs = 60_000;

/** `holdfast close APP/CLASS INSTANCE` */
export function registerClose(program: Command, context: CommandContext): void {
  const command = program
    .command('close')
    .description('end an instance for good: its exit hooks run, its state is gone')
    .argument('<app/class>')
    .argument('<instance>', 'its id')
    .option('--force', 'do not wait for calls that run')
    .option('--timeout <ms>', 'give up waiting after this long', positiveNumber, defaultTimeoutMs);
  withConnection(command).action(async (reference: string, id: string, options: CloseCommandOptions) =>
    closeInstance({ reference, id }, options, context),
  );
}

async function closeInstance(
  target: { readonly reference: string; readonly id: string },
  options: CloseCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { app, className } = parseClassReference(target.reference);
  const connection = findConnection(options, context.env);
  const { force = false } = options;
  const limit = new TimeLimit(options.timeout, context);
  const { withRouter } = await import('./router-access.js');
  const what = `${app}/${className}/${target.id}`;
  const wait = { what: `${what} to close`, outcome: 'unknown' } as const;
  const reply = await withProgress(`closing ${what}`, context, () =>
    withRouter(connection, context, (router) => {
      const { timeoutMs = options.timeout } = limit.left(wait);
      return limit.during(wait, router.close({ app, className, id: target.id }, { force, timeoutMs }));
    }),
  );
  const { closed, alreadyClosed, exitHook, error } = reply;
  const { terminal } = context;
  if (options.json) terminal.print(toJson({ closed, alreadyClosed, exitHook, ...(error ? { error } : {}) }));
  else
    terminal.print(
      alreadyClosed
        ? `${what} is not there: it was closed already, or never made`
        : `closed ${what}${exitHookText(exitHook)}`,
    );
  if (exitHook === 'failed') throw new HoldfastError('UserError', `${what} is closed, its exit hook failed: ${error}`);
}

function exitHookText(exitHook: string): string {
  if (exitHook === 'ran') return ', its exit hooks ran';
  return exitHook === 'none' ? '' : `, exit hooks: ${exitHook}`;
}
