import type { Command } from 'commander';
import { byteText } from '../../output/byte-text.js';
import { toJson } from '../../output/json-value.js';
import { withProgress } from '../../output/progress.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, wholeNumber, withConnection } from '../options.js';

interface CollectOptions extends ConnectionOptions, JsonOption {
  readonly keepDays?: number;
}

const dayMs = 86_400_000;
const sweepWithinMs = 3_600_000;
const keptDays = 7;

/** `holdfast image gc` */
export function registerCollect(image: Command, context: CommandContext): void {
  const command = image
    .command('gc')
    .description('remove images that no current deployment names and nothing has used lately')
    .option('--keep-days <n>', `those that were used since then stay; default: ${keptDays}`, wholeNumber);
  withConnection(command).action(async (options: CollectOptions) => collect(options, context));
}

async function collect(options: CollectOptions, context: CommandContext): Promise<void> {
  const connection = findConnection(options, context.env);
  const { routerMethods, withRouter } = await import('../router-access.js');
  const request = { keepForMs: (options.keepDays ?? keptDays) * dayMs };
  const swept = await withRouter(connection, context, (router) =>
    withProgress('collecting', context, () =>
      router.ask(routerMethods.sweepImages, request, { timeoutMs: sweepWithinMs }),
    ),
  );
  const { imagesRemoved, imagesKept, removed, bytesKept } = swept;
  const text = `${imagesRemoved} images removed (${removed} objects), ${imagesKept} kept (${byteText(bytesKept)})`;
  context.terminal.print(options.json ? toJson(swept) : text);
}
