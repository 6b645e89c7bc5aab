import type { Dirent, Stats } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, posix, relative, resolve } from 'node:path';
import { HoldfastError } from '../../../common/errors.js';
import { parsePath } from '../../../common/volumes/paths.js';
import { find } from '../../../common/volumes/tree.js';
import type { LocalFile } from '../../../sdk/volumes/upload-files.js';
import type { VolumeAccess } from '../../../sdk/volumes/volume-access.js';
import type { VolumePlace } from './place.js';

/**
 * What is to be put where. As `cp -r` has it: into a directory that is there, else under the name that is given; of a folder
 * that ends in `/`, what is in it. @throws FileNotFound
 */
export async function localFiles(
  locals: readonly string[],
  { access, to }: { readonly access: VolumeAccess; readonly to: VolumePlace },
): Promise<{ readonly files: LocalFile[]; readonly bytes: number }> {
  const isInto = locals.length > 1 || to.path.endsWith('/') || (await isDirectory(access, to));
  const files: LocalFile[] = [];
  let bytes = 0;
  for (const local of locals) {
    const top = await statOf(local);
    // What is named is what is meant; links below it stay links.
    const start = await realpath(local);
    const isContents = top.isDirectory() && /[/\\]\.?$/.test(local);
    const remote = isInto && !isContents ? posix.join(to.path, basename(resolve(local))) : to.path;
    if (parsePath(remote).length > 0) files.push({ local: start, remote });
    if (!top.isDirectory()) {
      bytes += top.size;
      continue;
    }
    for (const entry of await readdir(start, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      files.push({ local: path, remote: posix.join(remote, ...relative(start, path).split(/[/\\]/)) });
      bytes += await sizeOf(path, entry);
    }
  }
  return { files, bytes };
}

async function isDirectory(access: VolumeAccess, { volume, path }: VolumePlace): Promise<boolean> {
  await using state = await access.holdHead(volume);
  return (await find(state.reader, state.root, parsePath(path)))?.type === 'directory';
}

async function statOf(local: string): Promise<Stats> {
  return await stat(local).catch((cause: NodeJS.ErrnoException) => {
    throw new HoldfastError('FileNotFound', `${local} cannot be read: ${cause.code ?? cause.message}`, { cause });
  });
}

async function sizeOf(path: string, entry: Dirent): Promise<number> {
  return entry.isFile() ? (await statOf(path)).size : 0;
}
