import { HoldfastError } from '../../common/errors.js';
import { rootIno } from '../../common/live/inode.js';
import { LiveRefusal } from '../../common/live/live-error.js';
import type { LiveFiles, LivePlace } from '../../common/live/live-files.js';
import type { LiveNames } from '../../common/live/live-names.js';
import { type Path, parsePath } from '../../common/volumes/paths.js';
import type * as proto from '../../wire/gen/holdfast/v1/router.js';

const [fileMode, directoryMode] = [0o644, 0o755];
/** Of one request. */
const maxPieceBytes = 1_048_576;
/** More are for programs inside, which read page by page. */
const maxListed = 10_000;

interface Ask {
  readonly name: string;
  readonly path: string;
}

/** Of those that there are. @throws PayloadTooLarge */
export async function listLiveNames(names: LiveNames): Promise<proto.ListLiveNamesReply> {
  const found: string[] = [];
  for await (const name of names.living()) {
    if (found.length === maxListed)
      throw new HoldfastError('PayloadTooLarge', `there are more than ${maxListed} network file systems: delete some`);
    found.push(name);
  }
  return { names: found };
}

/** What is in a directory. @throws NotFound, FileNotFound, InvalidArgument, PayloadTooLarge */
export async function listLive(names: LiveNames, ask: proto.ListLiveRequest): Promise<proto.ListLiveReply> {
  return await told(ask, async () => {
    const files = names.files((await names.existing(ask.name)).id);
    const { ino, type } = await at(files, parsePath(ask.path));
    if (type !== 'directory') throw new LiveRefusal('ENOTDIR');
    const entries: proto.LiveEntry[] = [];
    for await (const { name } of files.list(ino)) {
      if (entries.length === maxListed)
        throw new HoldfastError(
          'PayloadTooLarge',
          `${shown(ask)} has more than ${maxListed} names: mount it to list them`,
        );
      const found = await files.find({ directory: ino, name });
      // Removed since it was listed.
      if (found === null) continue;
      const { type: what, size, mode, mtimeSeconds, mtimeNanos } = found.inode;
      const modifiedAtMs = mtimeSeconds * 1_000 + Math.floor(mtimeNanos / 1_000_000);
      entries.push({ name, type: what, size: what === 'directory' ? 0 : size, mode, modifiedAtMs });
    }
    return { entries };
  });
}

/** A piece of a file; an empty one is its end. @throws NotFound, FileNotFound, InvalidArgument */
export async function readLive(names: LiveNames, ask: proto.ReadLiveRequest): Promise<proto.ReadLiveReply> {
  return await told(ask, async () => {
    const files = names.files((await names.existing(ask.name)).id);
    const begin = ask.ino === '' ? await at(files, parsePath(ask.path)) : { ino: ask.ino, type: 'file' };
    if (begin.type === 'directory') throw new LiveRefusal('EISDIR');
    if (begin.type !== 'file') throw new LiveRefusal('EINVAL');
    const length = Math.max(0, Math.min(ask.length, maxPieceBytes));
    return { ino: begin.ino, bytes: await files.content.read(begin.ino, Math.max(0, ask.offset), length) };
  });
}

/** A piece of a file that nobody sees until it is finished. @throws NotFound, InvalidArgument, PayloadTooLarge */
export async function writeLive(names: LiveNames, ask: proto.WriteLiveRequest): Promise<proto.WriteLiveReply> {
  const { bytes, offset, finish } = ask;
  if (bytes.length > maxPieceBytes)
    throw new HoldfastError('PayloadTooLarge', `a piece has ${bytes.length} bytes, at most ${maxPieceBytes} may be`);
  return await told(ask, async () => {
    const path = parsePath(ask.path);
    if (path.length === 0) throw new LiveRefusal('EISDIR');
    const files = names.files((await names.existing(ask.name)).id);
    const ino = ask.ino === '' ? await files.makeNameless(fileMode) : ask.ino;
    if (ask.ino !== '' && (await files.get(ino)).isNameless !== true) throw new LiveRefusal('ESTALE');
    await files.content.write(ino, Buffer.from(bytes), { offset: Math.max(0, offset), isAppend: false });
    if (finish) await files.link(ino, await place(files, path));
    return { ino };
  });
}

/** A file, a link, or a directory with nothing in it. @throws NotFound, FileNotFound, InvalidArgument */
export async function removeLive(names: LiveNames, ask: proto.RemoveLiveRequest): Promise<proto.RemoveLiveReply> {
  return await told(ask, async () => {
    const path = parsePath(ask.path);
    const name = path.at(-1);
    if (name === undefined) throw new LiveRefusal('EINVAL');
    const files = names.files((await names.existing(ask.name)).id);
    const { ino } = await at(files, path.slice(0, -1));
    const found = await files.find({ directory: ino, name });
    if (found === null) throw new LiveRefusal('ENOENT');
    await files.remove({ directory: ino, name }, found.inode.type === 'directory' ? 'directory' : 'file');
    return {};
  });
}

async function at(files: LiveFiles, path: Path): Promise<{ readonly ino: string; readonly type: string }> {
  let ino = rootIno;
  let type: string = 'directory';
  for (const name of path) {
    if (type !== 'directory') throw new LiveRefusal('ENOTDIR');
    const found = await files.find({ directory: ino, name });
    if (found === null) throw new LiveRefusal('ENOENT');
    ino = found.ino;
    type = found.inode.type;
  }
  return { ino, type };
}

/** The directories on the way are made. */
async function place(files: LiveFiles, path: Path): Promise<LivePlace> {
  let directory = rootIno;
  for (const name of path.slice(0, -1)) {
    const found = (await files.find({ directory, name })) ?? (await madeDirectory(files, { directory, name }));
    if (found.inode.type !== 'directory') throw new LiveRefusal('ENOTDIR');
    directory = found.ino;
  }
  return { directory, name: path.at(-1) ?? '' };
}

async function madeDirectory(files: LiveFiles, where: LivePlace) {
  try {
    return await files.make(where, { type: 'directory', mode: directoryMode });
  } catch (error) {
    // Somebody else has made it meanwhile.
    const found = error instanceof LiveRefusal && error.code === 'EEXIST' ? await files.find(where) : null;
    if (found === null) throw error;
    return found;
  }
}

const words: Readonly<Record<LiveRefusal['code'], string>> = {
  ENOENT: 'is not there',
  EEXIST: 'is there already',
  ENOTDIR: 'is no directory, or below something that is none',
  EISDIR: 'is a directory',
  ENOTEMPTY: 'is a directory with something in it',
  EINVAL: 'is no file',
  ESTALE: 'was removed meanwhile',
  EFBIG: 'would be too large',
};

/** Refusals in words. */
async function told<T>(ask: Ask, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof LiveRefusal)) throw error;
    const code = error.code === 'ENOENT' || error.code === 'ESTALE' ? 'FileNotFound' : 'InvalidArgument';
    throw new HoldfastError(code, `${shown(ask)} ${words[error.code]}`, {
      details: { name: ask.name, path: ask.path },
    });
  }
}

function shown({ name, path }: Ask): string {
  return `${path === '' ? 'the root' : path} in network file system ${name}`;
}
