import { createReadStream } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import type { TreeBuilder } from '../../common/volumes/commit.js';
import { storeStream } from '../../common/volumes/content.js';
import type { Attributes } from '../../common/volumes/entry.js';
import type { Path } from '../../common/volumes/paths.js';
import type { Change } from '../../common/volumes/tree.js';
import type { VolumeAccess } from './volume-access.js';
import { applied, attributesNow, checkedPath, checkTargets } from './volume-changes.js';

/** Something of this machine, and where it goes. */
export interface LocalFile {
  readonly local: string;
  readonly remote: string;
}

export interface UploadOptions {
  readonly message?: string;
  /** Called with the bytes that are stored or on their way, of all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Found {
  readonly local: string;
  readonly path: Path;
  readonly type: 'file' | 'directory' | 'symlink';
  readonly size: number;
  readonly attributes: Attributes;
}

const readBytes = 1_048_576;

/** What an upload came to. */
export interface Uploaded {
  /** The newest commit where there was nothing to upload; '' where there is none either. */
  readonly commitId: string;
  /** What was really sent, of file contents and directories. */
  readonly sentBytes: number;
}

/**
 * One commit of all these files, with modes and times; links stay links. What is in the object store is not sent again, also
 * where an upload before this one broke off.
 *
 * @throws FileNotFound, InvalidArgument, PayloadTooLarge
 */
export async function uploadFiles(
  access: VolumeAccess,
  { name, files }: { readonly name: string; readonly files: Iterable<LocalFile> },
  { message = 'upload', onProgress, signal }: UploadOptions = {},
): Promise<Uploaded> {
  const found: Found[] = [];
  for (const { local, remote } of files) found.push(await look(local, checkedPath(remote)));
  if (found.length === 0) return { commitId: (await access.found(name)).head?.id ?? '', sentBytes: 0 };
  checkTargets(
    name,
    found.map(({ path, type }) => ({ path, isDirectory: type === 'directory' })),
  );
  // A directory before what is in it, in whatever order they were named.
  found.sort((a, b) => a.path.length - b.path.length);
  const total = found.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  const onBytes = (bytes: number): void => {
    if (signal?.aborted) throw stopped(name);
    done += bytes;
    onProgress?.(done, total);
  };
  const nowMs = access.core.clock.now();
  const { commit, sent } = await access.commit(name, {
    message,
    build: async (root, builder) => {
      const changes: [Path, Change][] = [];
      for (const file of found) changes.push([file.path, await changeOf(file, builder, onBytes)]);
      return await applied(builder, { name, root, reader: builder }, { changes, nowMs });
    },
  });
  return { commitId: commit.id, sentBytes: sent.bytes };
}

function stopped(name: string): HoldfastError {
  return new HoldfastError(
    'Cancelled',
    `the upload to volume ${name} was stopped; nothing of it is in the volume, and what was sent is not sent again next time`,
  );
}

async function look(local: string, path: Path): Promise<Found> {
  const stat = await lstat(local).catch((cause: NodeJS.ErrnoException) => {
    throw new HoldfastError('FileNotFound', `${local} cannot be read: ${cause.code ?? cause.message}`, { cause });
  });
  const { mode, mtimeMs, size } = stat;
  const attributes = attributesNow(mode & 0o7777, mtimeMs);
  if (stat.isFile()) return { local, path, type: 'file', size, attributes };
  if (stat.isDirectory()) return { local, path, type: 'directory', size: 0, attributes };
  if (stat.isSymbolicLink()) return { local, path, type: 'symlink', size: 0, attributes };
  throw new HoldfastError('InvalidArgument', `${local} is neither a file nor a directory nor a symbolic link`);
}

async function changeOf(
  { local, type, attributes }: Found,
  { uploads }: TreeBuilder,
  onBytes: (bytes: number) => void,
): Promise<Change> {
  switch (type) {
    case 'file': {
      const stored = await storeStream(uploads, read(local, onBytes));
      return { kind: 'put', entry: { type, ...attributes, ...stored } };
    }
    case 'symlink':
      return { kind: 'put', entry: { type, ...attributes, target: await readlink(local) } };
    case 'directory':
      return { kind: 'directory', attributes, whenNew: attributes, isFresh: false, changes: new Map() };
    default:
      return type satisfies never;
  }
}

async function* read(local: string, onBytes: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces: AsyncIterable<Buffer> = createReadStream(local, { highWaterMark: readBytes });
  for await (const piece of pieces) {
    onBytes(piece.length);
    yield piece;
  }
}
