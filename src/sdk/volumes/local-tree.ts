import { lstat, readdir } from 'node:fs/promises';
import { join, posix, relative, resolve } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { parsePath, showPath } from '../../common/volumes/paths.js';
import { type LocalFile, type Uploaded, type UploadOptions, uploadFiles } from './upload-files.js';
import type { VolumeAccess } from './volume-access.js';

/** As `uploadFiles`, of directories all that is in them. */
export async function uploadTrees(
  access: VolumeAccess,
  { name, files }: { readonly name: string; readonly files: Iterable<LocalFile> },
  options: UploadOptions,
): Promise<Uploaded> {
  return await uploadFiles(access, { name, files: await wholeTrees(checked(files)) }, options);
}

/** Each once, also where it was named beside the directory that it is in; links are not followed. */
async function wholeTrees(files: readonly LocalFile[]): Promise<LocalFile[]> {
  const found = new Map<string, LocalFile>();
  const add = (local: string, remote: string): void => {
    found.set(`${resolve(local)}\0${showPath(parsePath(remote))}`, { local, remote });
  };
  for (const { local, remote } of files) {
    // What is not there is told by whoever reads it.
    const isFolder = (await lstat(local).catch(() => null))?.isDirectory() === true;
    if (!isFolder || parsePath(remote).length > 0) add(local, remote);
    for (const below of isFolder ? await filesBelow(local) : []) add(below.local, posix.join(remote, below.path));
  }
  return [...found.values()];
}

/** All that is in a folder, with their paths from there. */
export async function filesBelow(folder: string): Promise<{ readonly local: string; readonly path: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.map((entry) => {
    const local = join(entry.parentPath, entry.name);
    return { local, path: relative(folder, local).split(/[/\\]/).join('/') };
  });
}

function checked(files: Iterable<LocalFile>): LocalFile[] {
  const isList = typeof files === 'object' && files !== null && Symbol.iterator in files;
  const list: unknown[] = isList ? [...files] : [null];
  for (const file of list) {
    const { local, remote } = (file ?? {}) as Partial<LocalFile>;
    if (typeof local === 'string' && typeof remote === 'string') continue;
    throw new HoldfastError('InvalidArgument', 'batchUpload needs files as { local, remote }, each of them a path');
  }
  return list as LocalFile[];
}
