import { existsSync, statSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { HoldfastError } from '../../../common/errors.js';
import type { FileStat } from '../../../sdk/sandbox/types.js';
import type { NetworkFileSystem } from '../../../sdk/volumes/network-file-system.js';
import { toJson } from '../../output/json-value.js';
import { TransferBar } from '../../output/transfer-bar.js';
import type { CommandContext } from '../command-context.js';
import { liveStore, parsePlace } from '../file-place.js';
import { type ConnectionOptions, type JsonOption, withConnection } from '../options.js';
import { replaced } from '../replaced-file.js';

type Options = ConnectionOptions & JsonOption;

/** Something of a network file system, and where it goes on this machine. */
interface FoundFile {
  readonly local: string;
  readonly stat: Pick<FileStat, 'path' | 'type' | 'size' | 'mode'>;
}

/** `holdfast nfs get NFS[:PATH] [LOCAL]` */
export function registerGet(nfs: Command, context: CommandContext): void {
  const command = nfs
    .command('get')
    .description('copy a file or a directory out of a network file system')
    .argument('<nfs[:path]>', 'default path: all of it')
    .argument('[local]', 'a file or folder here', '.');
  withConnection(command).action(async (place: string, local: string, options: Options) =>
    get({ place, local }, options, context),
  );
}

async function get(
  { place, local }: { readonly place: string; readonly local: string },
  options: Options,
  context: CommandContext,
): Promise<void> {
  const from = parsePlace(place, liveStore);
  const { withNfs } = await import('./with-nfs.js');
  await withNfs({ name: from.name }, { options, context }, async (nfs) => {
    const files = await findFiles(nfs, from.path, local);
    const bytes = files.reduce((sum, { stat }) => sum + stat.size, 0);
    await TransferBar.during({ name: from.path || from.name, bytes }, context, (onProgress) =>
      writeFiles(nfs, files, { onProgress, signal: context.signal }),
    );
    if (options.json) context.terminal.print(toJson({ name: from.name, files: files.length, bytes }));
  });
}

/** As `cp -r` has it: into a folder that is there, else under the name that is given; links stay there. @throws FileNotFound */
async function findFiles(nfs: NetworkFileSystem, from: string, to: string): Promise<FoundFile[]> {
  const top = await statOf(nfs, from);
  const isFolder = existsSync(to) && statSync(to).isDirectory();
  const target = resolve(isFolder ? join(to, basename(top.path)) : to);
  if (top.type !== 'directory') return [{ local: target, stat: top }];
  const below = await nfs.listdir(from, { recursive: true });
  const found = below.map((stat) => ({ local: join(target, stat.path.slice(top.path.length)), stat }));
  return [
    { local: target, stat: top },
    ...found.filter(({ stat: { type } }) => type === 'file' || type === 'directory'),
  ];
}

/** Of a path: what its directory says of it. @throws FileNotFound */
async function statOf(nfs: NetworkFileSystem, text: string): Promise<FoundFile['stat']> {
  const names = text.split('/').filter((name) => name !== '' && name !== '.');
  if (names.length === 0) return { path: '', type: 'directory', size: 0, mode: 0o755 };
  const path = names.join('/');
  const beside = await nfs.listdir(names.slice(0, -1).join('/'));
  const found = beside.find((stat) => stat.path === path);
  if (found !== undefined) return found;
  throw new HoldfastError('FileNotFound', `${path} in network file system ${nfs.name} is not there`, {
    details: { name: nfs.name, path },
  });
}

/** With their modes. A file that was there is replaced when all of the new one is here. */
async function writeFiles(
  nfs: NetworkFileSystem,
  files: readonly FoundFile[],
  { onProgress, signal }: { readonly onProgress: (bytes: number) => void; readonly signal: AbortSignal },
): Promise<void> {
  let done = 0;
  for (const { local, stat } of files) {
    await mkdir(stat.type === 'directory' ? local : dirname(local), { recursive: true });
    if (stat.type === 'directory') continue;
    await replaced(local, async (part) => {
      await using file = await open(part, 'w');
      for await (const piece of nfs.readFile(stat.path, { signal })) {
        await file.writeFile(piece);
        done += piece.length;
        onProgress(done);
      }
      await file.chmod(stat.mode & 0o777);
    });
  }
}
