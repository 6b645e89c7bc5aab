import type { Command } from 'commander';
import { fileStatLines } from '../../output/file-stats.js';
import { toJson } from '../../output/json-value.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { findConnection } from '../connection.js';
import { liveStore, parsePlace } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface ListOptions extends ConnectionOptions, JsonOption {
  readonly recursive?: boolean;
}

/** `holdfast nfs ls [NFS[:PATH]]` */
export function registerList(nfs: Command, context: CommandContext): void {
  const command = nfs
    .command('ls')
    .description('list network file systems, or a directory of one')
    .argument('[nfs[:path]]', 'default: all network file systems')
    .option('-r, --recursive', 'with all that is in its directories');
  withConnection(command).action(async (place: string | undefined, options: ListOptions) =>
    place === undefined ? listNames(options, context) : listFiles(place, options, context),
  );
}

async function listNames(options: ListOptions, context: CommandContext): Promise<void> {
  const [{ withClient }, { NetworkFileSystem }] = await Promise.all([
    import('../client-access.js'),
    import('../../../sdk/volumes/network-file-system.js'),
  ]);
  const found = await withClient(findConnection(options, context.env), (client) => NetworkFileSystem.list({ client }));
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(found.map(({ name }) => ({ name }))));
  if (found.length === 0) return terminal.note('no network file systems: `holdfast nfs create NAME` makes one');
  const rows = found.map(({ name }) => [name]);
  for (const line of tableLines([{ title: 'NFS', shrinksTo: 12 }], rows, terminal)) terminal.print(line);
}

async function listFiles(text: string, options: ListOptions, context: CommandContext): Promise<void> {
  const { name, path } = parsePlace(text, liveStore);
  const { withNfs } = await import('./with-nfs.js');
  const recursive = options.recursive ?? false;
  const stats = await withNfs({ name }, { options, context }, (nfs) => nfs.listdir(path, { recursive }));
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(stats));
  for (const line of fileStatLines(stats, terminal)) terminal.print(line);
}
