import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import { withProgress } from '../../output/progress.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, wholeNumber, withConnection } from '../options.js';

interface CollectOptions extends ConnectionOptions, JsonOption {
  readonly keep?: number;
  readonly keepDays?: number;
}

const dayMs = 86_400_000;
const sweepWithinMs = 3_600_000;
const [keptCommits, keptDays] = [100, 7];

/** `holdfast volume gc` */
export function registerCollect(volume: Command, context: CommandContext): void {
  const command = volume
    .command('gc')
    .description('drop old commits of all volumes, and bytes that nothing needs')
    .option('--keep <n>', `newest commits of each volume that stay; default: ${keptCommits}`, positiveNumber)
    .option('--keep-days <n>', `younger ones stay too; default: ${keptDays}`, wholeNumber);
  withConnection(command).action(async (options: CollectOptions) => collect(options, context));
}

async function collect(options: CollectOptions, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { keep: keepCommits = keptCommits, keepDays = keptDays } = options;
  const { routerMethods, withRouter } = await import('../router-access.js');
  const request = { keepCommits, keepForMs: keepDays * dayMs };
  const swept = await withRouter(connection, context, (router) =>
    withProgress('collecting', context, () =>
      router.ask(routerMethods.sweepVolumes, request, { timeoutMs: sweepWithinMs }),
    ),
  );
  const { removed, kept, commitsForgotten } = swept;
  context.terminal.print(
    options.json ? toJson(swept) : `${removed} objects removed, ${kept} kept; ${commitsForgotten} old commits dropped`,
  );
}
