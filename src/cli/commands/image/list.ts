import type { Command } from 'commander';
import { byteText } from '../../output/byte-text.js';
import { toJson } from '../../output/json-value.js';
import { minuteText } from '../../output/minute-text.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

const shownChars = 12;
const listWithinMs = 120_000;

/** `holdfast image ls` */
export function registerList(image: Command, context: CommandContext): void {
  const command = image.command('ls').description('images of the account, the most recently used first');
  withConnection(command).action(async (options: ConnectionOptions & JsonOption) => list(options, context));
}

async function list(options: ConnectionOptions & JsonOption, context: CommandContext): Promise<void> {
  const { terminal } = context;
  const { routerMethods, withRouter } = await import('../router-access.js');
  const { images } = await withRouter(findConnection(options, context.env), context, (router) =>
    router.ask(routerMethods.listImages, {}, { timeoutMs: listWithinMs }),
  );
  const views = images.map(({ usedAtMs, ...view }) => ({
    ...view,
    usedAt: usedAtMs === 0 ? null : new Date(usedAtMs),
  }));
  if (options.json) return terminal.print(toJson(views));
  if (views.length === 0) return terminal.note('no images');
  const columns = [
    ...[{ title: 'IMAGE' }, { title: 'BASE' }, { title: 'LAYERS', align: 'right' }, { title: 'SIZE', align: 'right' }],
    ...[{ title: 'USED' }, { title: 'OF', shrinksTo: 12 }],
  ] as const;
  const rows = views.map(({ id, base, layers, bytes, usedAt, resources }) => [
    ...[id.slice(0, shownChars), base || 'damaged', String(layers), byteText(bytes)],
    ...[usedAt === null ? '-' : minuteText(usedAt), resources.join(', ') || '-'],
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}
