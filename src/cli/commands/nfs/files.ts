import type { Command } from 'commander';
import { toJson } from '../../output/json-value.js';
import type { CommandContext } from '../command-context.js';
import { liveStore, parseFilePlace } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface RemoveOptions extends ConnectionOptions, JsonOption {
  readonly recursive?: boolean;
}

/** `holdfast nfs cat | rm` */
export function registerFiles(nfs: Command, context: CommandContext): void {
  const cat = nfs.command('cat').description('print a file of a network file system').argument('<nfs:path>');
  withConnection(cat).action(async (place: string, options: ConnectionOptions) => printFile(place, options, context));
  const remove = nfs
    .command('rm')
    .description('remove a file of a network file system')
    .argument('<nfs:path>')
    .option('-r, --recursive', 'a directory, with all that is in it');
  withConnection(remove).action(async (place: string, options: RemoveOptions) => removeFile(place, options, context));
}

async function printFile(text: string, options: ConnectionOptions, context: CommandContext): Promise<void> {
  const { name, path } = parseFilePlace(text, liveStore);
  const [{ withNfs }, { writeOut }] = await Promise.all([import('./with-nfs.js'), import('../write-out.js')]);
  await withNfs({ name }, { options, context }, async (nfs) => {
    for await (const piece of nfs.readFile(path)) {
      context.signal.throwIfAborted();
      await writeOut(process.stdout, piece);
    }
  });
}

async function removeFile(text: string, options: RemoveOptions, context: CommandContext): Promise<void> {
  const { name, path } = parseFilePlace(text, liveStore);
  const { withNfs } = await import('./with-nfs.js');
  const recursive = options.recursive ?? false;
  await withNfs({ name }, { options, context }, (nfs) => nfs.removeFile(path, { recursive }));
  context.terminal.print(options.json ? toJson({ name, path, removed: true }) : `removed ${name}:${path}`);
}
