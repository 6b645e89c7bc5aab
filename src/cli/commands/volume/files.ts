import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import type { CommandContext } from '../command-context.js';
import { parseFilePlace, volumeStore } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface RemoveOptions extends ConnectionOptions, JsonOption {
  readonly recursive?: boolean;
}

/** `holdfast volume cat | rm` */
export function registerFiles(volume: Command, context: CommandContext): void {
  const cat = volume.command('cat').description('print a file of a volume').argument('<volume:path>');
  withConnection(cat).action(async (place: string, options: ConnectionOptions) => printFile(place, options, context));
  const remove = volume
    .command('rm')
    .description('remove a file of a volume')
    .argument('<volume:path>')
    .option('-r, --recursive', 'a directory, with all that is in it');
  withConnection(remove).action(async (place: string, options: RemoveOptions) => removeFile(place, options, context));
}

async function printFile(text: string, options: ConnectionOptions, context: CommandContext): Promise<void> {
  const { name, path } = parseFilePlace(text, volumeStore);
  const [{ withVolumes }, { Volume }, { writeOut }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
    import('../write-out.js'),
  ]);
  await withVolumes(options, context, async (client) => {
    for await (const piece of Volume.fromName(name, { client }).readFile(path)) {
      context.signal.throwIfAborted();
      await writeOut(process.stdout, piece);
    }
  });
}

async function removeFile(text: string, options: RemoveOptions, context: CommandContext): Promise<void> {
  const { name, path } = parseFilePlace(text, volumeStore);
  const [{ withVolumes }, { Volume }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/volume.js'),
  ]);
  const recursive = options.recursive ?? false;
  await withVolumes(options, context, (client) => Volume.fromName(name, { client }).removeFile(path, { recursive }));
  context.terminal.print(options.json ? toJson({ volume: name, path, removed: true }) : `removed ${name}:${path}`);
}
