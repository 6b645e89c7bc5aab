import { HoldfastError } from '../../common/errors.js';
import type { TreeBuilder } from '../../common/volumes/commit.js';
import { storeStream } from '../../common/volumes/content.js';
import type { Blob, DirectoryEntry, Entry } from '../../common/volumes/entry.js';
import { hashOf } from '../../common/volumes/object-reader.js';
import { type Path, showPath } from '../../common/volumes/paths.js';
import { type Change, changesAt, changeTree, emptyDirectory } from '../../common/volumes/tree.js';
import { type ArchiveEntry, type ArchiveSource, archiveEntries } from './archive.js';
import { type NewVolume, VolumeAccess } from './volume-access.js';
import { attributesNow } from './volume-changes.js';

const rootMode = 0o755;

/**
 * A volume with what is in an archive. Of the same archive it is made once: what is in the object store is not sent again, also
 * where this broke off before.
 *
 * @throws AlreadyExists where a volume of that name holds something else; InvalidArgument, PayloadTooLarge
 */
export async function makeFromArchive(
  access: VolumeAccess,
  { name, source }: { readonly name: string; readonly source: ArchiveSource },
  declared: NewVolume,
): Promise<void> {
  const { created, volume } = await access.create(name, declared);
  try {
    await access.commit(name, {
      message: 'from an archive',
      build: async (root, builder) => {
        const made = await unpacked(builder, root, archiveEntries(name, source));
        const isFree = isSame(root.node, emptyDirectory(root).node);
        if (!isFree && !isSame(root.node, made.node)) throw taken(name);
        return made;
      },
    });
  } catch (error) {
    // Without files it is of no use to anybody, unless somebody has put some in meanwhile; what fails here, too, is left to be deleted by hand.
    const unlimited = VolumeAccess.of(access.core);
    const now = created ? await unlimited.found(name).catch(() => null) : null;
    if (now?.volume.id === volume.id && now.head === null) await unlimited.delete(volume).catch(() => false);
    throw error;
  }
}

/** The root of a commit is kept by its hash, however short it is. */
function isSame(a: Blob, b: Blob): boolean {
  return (a.hash ?? hashOf(a.inline)) === (b.hash ?? hashOf(b.inline));
}

function taken(name: string): HoldfastError {
  return new HoldfastError('AlreadyExists', `there is a volume ${name} already, with other files than the archive`, {
    details: { name },
  });
}

async function unpacked(
  builder: TreeBuilder,
  root: DirectoryEntry,
  entries: AsyncIterable<ArchiveEntry>,
): Promise<DirectoryEntry> {
  const made = new Map<string, { readonly path: Path; readonly change: Change }>();
  for await (const entry of entries) {
    const { path } = entry;
    checkWay(made, path);
    const change = await changeOf(builder, entry, made);
    // Of two the later counts, as tar has it; but a directory with something in it stays one.
    const before = made.get(showPath(path));
    if (before?.change.kind === 'directory' && change.kind !== 'directory') throw contradiction(path);
    made.set(showPath(path), { path, change });
  }
  const attributes = attributesNow(rootMode, 0);
  const start = emptyDirectory({ ...attributes, mode: root.mode });
  // A directory before what is in it, in whatever order they come.
  const inOrder = [...made.values()].sort((a, b) => a.path.length - b.path.length);
  return await changeTree(
    builder,
    start,
    changesAt(
      inOrder.map(({ path, change }) => [path, change]),
      attributes,
    ),
  );
}

async function changeOf(
  { uploads }: TreeBuilder,
  entry: ArchiveEntry,
  made: ReadonlyMap<string, { readonly change: Change }>,
): Promise<Change> {
  const attributes = attributesNow(entry.mode, entry.mtimeMs);
  switch (entry.type) {
    case 'file':
      return put({ type: 'file', ...attributes, ...(await storeStream(uploads, entry.bytes)) });
    case 'symlink':
      return put({ type: 'symlink', ...attributes, target: entry.target });
    case 'link': {
      const known = made.get(showPath(entry.to))?.change;
      if (known?.kind === 'put') return known;
      throw new HoldfastError(
        'InvalidArgument',
        `the archive is refused: ${showPath(entry.path)} is a link to ${showPath(entry.to)}, which is no file before it`,
      );
    }
    case 'directory':
      return { kind: 'directory', attributes, whenNew: attributes, isFresh: false, changes: new Map() };
    default:
      return entry satisfies never;
  }
}

function put(entry: Entry): Change {
  return { kind: 'put', entry };
}

/** Nothing is put through a link, or below a file. */
function checkWay(made: ReadonlyMap<string, { readonly change: Change }>, path: Path): void {
  for (let length = 1; length < path.length; length++) {
    const way = path.slice(0, length);
    if (made.get(showPath(way))?.change.kind === 'put') throw contradiction(way);
  }
}

function contradiction(path: Path): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `the archive is refused: ${showPath(path)} is a directory and something else in it`,
  );
}
