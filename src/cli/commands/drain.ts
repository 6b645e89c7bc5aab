import type { Command } from 'commander';
import { toJson } from '../output/json-value.js';
import { withProgress } from '../output/progress.js';
import type { CommandContext } from './command-context.js';
import { findConnection } from './connection.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from './options.js';

interface DrainOptions extends ConnectionOptions, JsonOption {
  readonly timeout: number;
}

const defaultDrainMs = 60_000;
/** The router answers a little after the worker's own limit. */
const answerMarginMs = 5_000;

/** `holdfast drain WORKER` */
export function registerDrain(program: Command, context: CommandContext): void {
  const command = program
    .command('drain')
    .description('move everything off a worker, which then takes no more')
    .argument('<worker>', 'its id, see `holdfast workers`')
    .option('--timeout <ms>', 'for calls that still run', positiveNumber, defaultDrainMs);
  withConnection(command).action(async (workerId: string, options: DrainOptions) =>
    drainWorker(workerId, options, context),
  );
}

async function drainWorker(workerId: string, options: DrainOptions, context: CommandContext): Promise<void> {
  const { routerMethods, withRouter } = await import('./router-access.js');
  const connection = findConnection(options, context.env);
  const { timeout: timeoutMs } = options;
  const { drained } = await withProgress(`draining ${workerId}`, context, () =>
    withRouter(connection, context, (router) =>
      router.ask(routerMethods.drainWorker, { workerId, timeoutMs }, { timeoutMs: timeoutMs + answerMarginMs }),
    ),
  );
  if (options.json) return context.terminal.print(toJson({ workerId, drained }));
  context.terminal.print(`drained ${workerId}: ${drained} ${drained === 1 ? 'instance' : 'instances'} moved off`);
}
