import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import type { Command } from 'commander';
import { HoldfastError, isHoldfastError } from '../../../common/errors.js';
import type { NetworkFileSystem } from '../../../sdk/volumes/network-file-system.js';
import type { LocalFile } from '../../../sdk/volumes/upload-files.js';
import { byteText } from '../../output/byte-text.js';
import { toJson } from '../../output/json-value.js';
import { TransferBar } from '../../output/transfer-bar.js';
import type { CommandContext } from '../command-context.js';
import { liveStore, parsePlace } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';

interface PutOptions extends ConnectionOptions, JsonOption {
  readonly create?: boolean;
}

const readBytes = 1_048_576;
const examples = `
Examples:
  holdfast nfs put data.csv shared:in/data.csv
  holdfast nfs put inputs shared         the folder, as shared:inputs
  holdfast nfs put inputs/ shared:in     what is in it, as shared:in
Each file is seen whole once it is there. Links and empty folders stay here.`;

/** `holdfast nfs put LOCAL... NFS[:PATH]` */
export function registerPut(nfs: Command, context: CommandContext): void {
  const command = nfs
    .command('put')
    .description('copy files and folders into a network file system')
    .argument('<local...>', 'files and folders here, then NFS[:PATH]')
    .option('--create', 'make it where it is missing')
    .addHelpText('after', examples);
  withConnection(command).action(async (places: string[], options: PutOptions) => put(places, options, context));
}

async function put(places: readonly string[], options: PutOptions, context: CommandContext): Promise<void> {
  const [locals, target] = [places.slice(0, -1), places.at(-1) ?? ''];
  if (locals.length === 0) throw new HoldfastError('InvalidArgument', 'put what? Write put LOCAL... NFS[:PATH]');
  const { name, path } = parsePlace(target, liveStore);
  const [{ withNfs }, { localFiles }] = await Promise.all([import('./with-nfs.js'), import('../local-files.js')]);
  const { terminal } = context;
  const createIfMissing = options.create ?? false;
  await withNfs({ name, createIfMissing }, { options, context }, async (nfs) => {
    const found = await localFiles(locals, { path, isDirectory: () => isDirectory(nfs, path) });
    const files = await onlyFiles(found.files);
    await TransferBar.during({ name, bytes: found.bytes }, context, (onProgress) =>
      sendFiles(nfs, files, { onProgress, signal: context.signal }),
    );
    const result = { files: files.length, bytes: found.bytes };
    terminal.print(options.json ? toJson(result) : `${files.length} files, ${byteText(found.bytes)}`);
  });
}

/** False too where there is nothing. @throws NotFound */
async function isDirectory(nfs: NetworkFileSystem, path: string): Promise<boolean> {
  try {
    await nfs.listdir(path);
    return true;
  } catch (error) {
    if (isHoldfastError(error, 'FileNotFound') || isHoldfastError(error, 'InvalidArgument')) return false;
    throw error;
  }
}

async function onlyFiles(found: readonly LocalFile[]): Promise<LocalFile[]> {
  const files: LocalFile[] = [];
  for (const file of found) if ((await lstat(file.local)).isFile()) files.push(file);
  return files;
}

async function sendFiles(
  nfs: NetworkFileSystem,
  files: readonly LocalFile[],
  { onProgress, signal }: { readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal },
): Promise<void> {
  let done = 0;
  for (const { local, remote } of files) {
    await nfs.writeFile(remote, counted(local), { signal });
  }
  async function* counted(local: string): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of createReadStream(local, { highWaterMark: readBytes })) {
      yield piece as Uint8Array;
      done += (piece as Uint8Array).length;
      onProgress(done);
    }
  }
}
