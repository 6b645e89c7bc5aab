import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import { byteText } from '../../output/byte-text.js';
import { toJson } from '../../output/json-value.js';
import { minuteText } from '../../output/minute-text.js';
import { tableLines } from '../../output/table.js';
import type { CommandContext } from '../command-context.js';
import { type ConnectionOptions, type JsonOption, positiveNumber, withConnection } from '../options.js';

type Options = ConnectionOptions & JsonOption;

interface HistoryOptions extends Options {
  readonly limit?: number;
}

const signs = { added: '+', modified: '~', deleted: '-' } as const;
const colours = { added: 'green', modified: 'yellow', deleted: 'red' } as const;

/** `holdfast volume history | diff | restore` */
export function registerHistory(volume: Command, context: CommandContext): void {
  const history = volume
    .command('history')
    .description('commits of a volume, newest first')
    .argument('<volume>')
    .option('--limit <n>', 'how many; default: 100', positiveNumber);
  withConnection(history).action(async (name: string, options: HistoryOptions) => showHistory(name, options, context));
  const diff = volume
    .command('diff')
    .description('what changed between two commits')
    .argument('<volume>')
    .argument('<commits...>', 'FROM and TO; default for TO: the newest');
  withConnection(diff).action(async (name: string, commits: string[], options: Options) =>
    showDiff({ name, commits }, options, context),
  );
  const restore = volume
    .command('restore')
    .description('make an older state the newest one')
    .argument('<volume>')
    .argument('<commit>');
  withConnection(restore).action(async (name: string, commit: string, options: Options) =>
    restoreVolume({ name, commit }, options, context),
  );
}

async function showHistory(name: string, options: HistoryOptions, context: CommandContext): Promise<void> {
  const { limit, json } = options;
  const { withVolumes, Volume } = await load();
  const commits = await withVolumes(options, context, (client) =>
    Volume.fromName(name, { client }).history(limit === undefined ? {} : { limit }),
  );
  const { terminal } = context;
  if (json) return terminal.print(toJson(commits));
  const columns = [
    ...[{ title: 'COMMIT' }, { title: 'AT' }, { title: 'FILES', align: 'right' }, { title: 'SIZE', align: 'right' }],
    { title: 'MESSAGE', shrinksTo: 8 },
  ] as const;
  const rows = commits.map(({ commitId, at, files, bytes, message }) => [
    ...[commitId, minuteText(at), String(files), byteText(bytes), message],
  ]);
  for (const line of tableLines(columns, rows, terminal)) terminal.print(line);
}

async function showDiff(
  { name, commits }: { readonly name: string; readonly commits: readonly string[] },
  options: Options,
  context: CommandContext,
): Promise<void> {
  const [from = '', to, ...more] = commits;
  if (more.length > 0) throw new HoldfastError('InvalidArgument', 'diff compares two commits: write FROM [TO]');
  const { withVolumes, Volume } = await load();
  const changes = await withVolumes(options, context, (client) => Volume.fromName(name, { client }).diff(from, to));
  const { terminal } = context;
  if (options.json) return terminal.print(toJson(changes));
  for (const { path, change } of changes) terminal.print(terminal.paint(colours[change], `${signs[change]} ${path}`));
}

async function restoreVolume(
  { name, commit }: { readonly name: string; readonly commit: string },
  options: Options,
  context: CommandContext,
): Promise<void> {
  const { withVolumes, Volume } = await load();
  const commitId = await withVolumes(options, context, (client) => Volume.fromName(name, { client }).restore(commit));
  context.terminal.print(options.json ? toJson({ name, commitId, restored: commit }) : `restored as ${commitId}`);
}

async function load() {
  const [{ withVolumes }, { Volume }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
  ]);
  return { withVolumes, Volume };
}
