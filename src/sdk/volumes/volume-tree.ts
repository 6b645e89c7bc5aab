import { HoldfastError } from '../../common/errors.js';
import { entriesOf, type NodeSource } from '../../common/volumes/directory.js';
import type { DirectoryEntry, Entry, FileEntry } from '../../common/volumes/entry.js';
import { type Path, showPath } from '../../common/volumes/paths.js';
import { find } from '../../common/volumes/tree.js';
import type { FileStat } from '../sandbox/types.js';

/** A state of a volume, and its name for messages. */
export interface State {
  readonly name: string;
  readonly root: DirectoryEntry;
  readonly reader: NodeSource;
}

/** What is at a path. @throws FileNotFound */
export async function existing({ name, root, reader }: State, path: Path): Promise<Entry> {
  const entry = await find(reader, root, path);
  if (entry !== null) return entry;
  throw new HoldfastError('FileNotFound', `volume ${name} has no ${showPath(path)}`, {
    details: { volume: name, path: showPath(path) },
  });
}

/** @throws FileNotFound, InvalidArgument for what is no file */
export async function existingFile(state: State, path: Path): Promise<FileEntry> {
  const entry = await existing(state, path);
  if (entry.type === 'file') return entry;
  throw new HoldfastError(
    'InvalidArgument',
    `${showPath(path)} in volume ${state.name} is no file, but a ${entry.type}`,
  );
}

/** @throws InvalidArgument */
function asDirectory(entry: Entry, { name }: State, path: Path): DirectoryEntry {
  if (entry.type === 'directory') return entry;
  throw new HoldfastError(
    'InvalidArgument',
    `${showPath(path)} in volume ${name} is no directory, but a ${entry.type}`,
  );
}

/** What is in a directory, in the order of paths. @throws FileNotFound, InvalidArgument */
export async function listed(state: State, path: Path, isRecursive: boolean): Promise<FileStat[]> {
  const directory = asDirectory(await existing(state, path), state, path);
  const stats: FileStat[] = [];
  for await (const [at, entry] of walk(state.reader, { path, directory }, isRecursive)) stats.push(statOf(at, entry));
  return stats.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A directory before what is in it. */
export async function* walk(
  reader: NodeSource,
  { path, directory }: { readonly path: Path; readonly directory: DirectoryEntry },
  isRecursive: boolean,
): AsyncGenerator<readonly [Path, Entry], void, undefined> {
  for await (const [name, entry] of entriesOf(reader, directory)) {
    const at = [...path, name];
    yield [at, entry];
    if (isRecursive && entry.type === 'directory') yield* walk(reader, { path: at, directory: entry }, true);
  }
}

function statOf(path: Path, entry: Entry): FileStat {
  const { type, mode, mtimeSeconds, mtimeNanos } = entry;
  const modifiedAt = new Date(mtimeSeconds * 1_000 + Math.floor(mtimeNanos / 1_000_000));
  return { path: showPath(path), type, size: sizeOf(entry), mode, modifiedAt };
}

function sizeOf(entry: Entry): number {
  switch (entry.type) {
    case 'file':
      return entry.size;
    case 'symlink':
      return Buffer.byteLength(entry.target, 'utf8');
    case 'directory':
      return entry.bytes;
    default:
      return entry satisfies never;
  }
}
