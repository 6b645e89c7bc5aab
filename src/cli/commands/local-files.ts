import type { Stats } from 'node:fs';
import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, posix, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { parsePath } from '../../common/volumes/paths.js';
import { filesBelow } from '../../sdk/volumes/local-tree.js';
import type { LocalFile } from '../../sdk/volumes/upload-files.js';

/**
 * What is to be put where. As `cp -r` has it: into a directory that is there, else under the name that is given; of a folder
 * that ends in `/`, what is in it. @throws FileNotFound
 */
export async function localFiles(
  locals: readonly string[],
  to: { readonly path: string; readonly isDirectory: () => Promise<boolean> },
): Promise<{ readonly files: LocalFile[]; readonly bytes: number }> {
  const isInto = locals.length > 1 || to.path.endsWith('/') || (await to.isDirectory());
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
    for (const { local: below, path } of await filesBelow(start)) {
      files.push({ local: below, remote: posix.join(remote, path) });
      bytes += await sizeOf(below);
    }
  }
  return { files, bytes };
}

async function statOf(local: string): Promise<Stats> {
  return await stat(local).catch((cause: NodeJS.ErrnoException) => {
    throw new HoldfastError('FileNotFound', `${local} cannot be read: ${cause.code ?? cause.message}`, { cause });
  });
}

async function sizeOf(path: string): Promise<number> {
  const entry = await lstat(path);
  return entry.isFile() ? entry.size : 0;
}
