import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import { byteText } from '../../output/byte-text.js';
import { toJson } from '../../output/json-value.js';
import { TransferBar } from '../../output/transfer-bar.js';
import type { CommandContext } from '../command-context.js';
import { parsePlace, volumeStore } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface PutOptions extends ConnectionOptions, JsonOption {
  readonly create?: boolean;
  readonly message?: string;
}

const examples = `
Examples:
  holdfast volume put data.csv models:in/data.csv
  holdfast volume put weights models         the folder, as models:weights
  holdfast volume put weights/ models:v1     what is in it, as models:v1
Where it broke off: the same again; what was sent is not sent twice.`;

/** `holdfast volume put LOCAL... VOLUME[:PATH]` */
export function registerPut(volume: Command, context: CommandContext): void {
  const command = volume
    .command('put')
    .description('copy files and folders into a volume, as one commit')
    .argument('<local...>', 'files and folders here, then VOLUME[:PATH]')
    .option('--create', 'make the volume where it is missing')
    .option('-m, --message <text>', 'for its history')
    .addHelpText('after', examples);
  withConnection(command).action(async (places: string[], options: PutOptions) => put(places, options, context));
}

async function put(places: readonly string[], options: PutOptions, context: CommandContext): Promise<void> {
  const [locals, target] = [places.slice(0, -1), places.at(-1) ?? ''];
  if (locals.length === 0) throw new HoldfastError('InvalidArgument', 'put what? Write put LOCAL... VOLUME[:PATH]');
  const to = parsePlace(target, volumeStore);
  const [{ withVolumes }, { uploadFiles }, { localFiles }, { isDirectory }] = await Promise.all([
    import('./with-volumes.js'),
    import('../../../sdk/volumes/upload-files.js'),
    import('../local-files.js'),
    import('./is-directory.js'),
  ]);
  const { terminal, signal } = context;
  await withVolumes(options, context, async (_client, access) => {
    if (options.create) await access.create(to.name);
    const target = { path: to.path, isDirectory: () => isDirectory(access, to) };
    const { files, bytes } = await localFiles(locals, target);
    const transfer = { name: to.name, bytes };
    const message = options.message ?? `put ${locals.join(' ')}`.slice(0, 200);
    const { commitId, sentBytes } = await TransferBar.during(transfer, context, (onProgress) =>
      uploadFiles(access, { name: to.name, files }, { message, signal, onProgress }),
    );
    const result = { commitId, files: files.length, bytes, sentBytes };
    const said =
      files.length === 0 ? 'nothing to put, no commit made' : `commit ${commitId}, ${byteText(sentBytes)} sent`;
    terminal.print(options.json ? toJson(result) : said);
  });
}
