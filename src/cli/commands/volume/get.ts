import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import { TransferBar } from '../../output/transfer-bar.js';
import type { CommandContext } from '../command-context.js';
import { parsePlace, volumeStore } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

type Options = ConnectionOptions & JsonOption & { readonly at?: string };

/** `holdfast volume get VOLUME[:PATH] [LOCAL]` */
export function registerGet(volume: Command, context: CommandContext): void {
  const command = volume
    .command('get')
    .description('copy a file or a directory out of a volume')
    .argument('<volume[:path]>', 'default path: all of it')
    .argument('[local]', 'a file or folder here', '.')
    .option('--at <commit>', 'as it was then; default: the newest state');
  withConnection(command).action(async (place: string, local: string, options: Options) =>
    get({ place, local }, options, context),
  );
}

async function get(
  { place, local }: { readonly place: string; readonly local: string },
  options: Options,
  context: CommandContext,
): Promise<void> {
  const from = parsePlace(place, volumeStore);
  const [{ withVolumes }, { findFiles, writeFiles }] = await Promise.all([
    import('./with-volumes.js'),
    import('./write-files.js'),
  ]);
  await withVolumes(options, context, async (_client, access) => {
    const found = await access.found(from.name);
    const commit = options.at === undefined ? found.head : await access.commitOf(found, options.at);
    await using state = await access.hold(found, commit);
    const files = await findFiles(state, from.path, local);
    const bytes = files.reduce((sum, { entry }) => sum + (entry.type === 'file' ? entry.size : 0), 0);
    await TransferBar.during({ name: from.path || from.name, bytes }, context, (onProgress) =>
      writeFiles(state, files, { onProgress, signal: context.signal }),
    );
    const result = { volume: from.name, commitId: commit?.id ?? null, files: files.length, bytes };
    if (options.json) context.terminal.print(toJson(result));
  });
}
