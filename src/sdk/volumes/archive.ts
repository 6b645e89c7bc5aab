import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract, type Headers } from 'tar-stream';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import { parsePath } from '../../common/volumes/paths.js';
import { bytesOf } from '../sandbox/bytes.js';
import type { Bytes } from '../sandbox/types.js';

/** A path of this machine, or the bytes of a tar or tar.gz. */
export type ArchiveSource = string | Bytes | AsyncIterable<Bytes>;

/** What is in an archive, checked: its path and those that its links name do not leave the root. */
export type ArchiveEntry = { readonly path: readonly string[]; readonly mode: number; readonly mtimeMs: number } & (
  | { readonly type: 'file'; readonly bytes: AsyncIterable<Uint8Array> }
  | { readonly type: 'directory' }
  | { readonly type: 'symlink'; readonly target: string }
  /** The same file as another entry before it. */
  | { readonly type: 'link'; readonly to: readonly string[] }
);

const gzipMagic = [0x1f, 0x8b] as const;

/**
 * One after the other; the bytes of a file must be read before the next one is asked for.
 *
 * @throws InvalidArgument for what is no such archive, is damaged, or has entries that would leave the root; FileNotFound
 */
export async function* archiveEntries(
  name: string,
  source: ArchiveSource,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const tar = extract();
  const unpacking = unpack(source, tar);
  // The loop ends with it, also where nothing came to the archive's reader yet.
  unpacking.catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    for await (const entry of tar) {
      const known = entryOf(name, entry.header, entry);
      if (known !== null) yield known;
      entry.resume();
    }
    await unpacking;
  } catch (error) {
    throw isHoldfastError(error) ? error : damaged(name, error);
  } finally {
    tar.destroy();
  }
}

async function unpack(source: ArchiveSource, tar: NodeJS.WritableStream): Promise<void> {
  const pieces = piecesOf(source);
  const first = await pieces.next();
  const start = first.done === true ? Buffer.alloc(0) : first.value;
  const all = Readable.from(startingWith(start, pieces), { objectMode: false });
  const isPacked = start[0] === gzipMagic[0] && start[1] === gzipMagic[1];
  if (isPacked) await pipeline(all, createGunzip(), tar);
  else await pipeline(all, tar);
}

async function* startingWith(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (first.length > 0) yield first;
  yield* rest;
}

/** None is shorter than what tells a tar.gz from a tar, but the last. */
async function* piecesOf(source: ArchiveSource): AsyncGenerator<Uint8Array, void, undefined> {
  let held: Uint8Array = Buffer.alloc(0);
  for await (const piece of givenPieces(source)) {
    held = held.length === 0 ? piece : Buffer.concat([held, piece]);
    if (held.length < gzipMagic.length) continue;
    yield held;
    held = Buffer.alloc(0);
  }
  if (held.length > 0) yield held;
}

async function* givenPieces(source: ArchiveSource): AsyncGenerator<Uint8Array, void, undefined> {
  if (typeof source === 'string') {
    try {
      yield* createReadStream(source) as AsyncIterable<Buffer>;
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new HoldfastError('FileNotFound', `archive ${source} cannot be read: ${code ?? message}`, { cause });
    }
  } else if (typeof source === 'object' && source !== null && Symbol.asyncIterator in source) {
    // A copy: its maker may use the same memory for the next piece.
    for await (const piece of source) yield Uint8Array.from(bytesOf(piece));
  } else yield bytesOf(source);
}

/** Null: the root itself. */
function entryOf(volume: string, header: Headers, bytes: AsyncIterable<Uint8Array>): ArchiveEntry | null {
  const { name, type = 'file', linkname, mode = 0o644, mtime } = header;
  const path = pathWithin(volume, name, name);
  if (path.length === 0) {
    if (type === 'directory') return null;
    throw refused(volume, name, 'would take the place of the root');
  }
  const common = { path, mode: mode & 0o7777, mtimeMs: mtime?.getTime() ?? 0 };
  switch (type) {
    case 'file':
    case 'contiguous-file':
      return { ...common, type: 'file', bytes: whole(volume, bytes) };
    case 'directory':
      return { ...common, type };
    case 'symlink':
      return { ...common, type, target: checkedTarget(volume, path, linkname ?? '') };
    case 'link':
      return { ...common, type, to: pathWithin(volume, name, linkname ?? '') };
    default:
      throw refused(volume, name, `is a ${type}, which volumes do not hold`);
  }
}

/** An archive that ends too early is told by whoever reads its last file. */
async function* whole(volume: string, bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* bytes;
  } catch (error) {
    throw isHoldfastError(error) ? error : damaged(volume, error);
  }
}

/** @param named in the archive, by the entry `of` */
function pathWithin(volume: string, of: string, named: string): readonly string[] {
  if (named.startsWith('/') || named.split('/').includes('..'))
    throw refused(volume, of, `would leave the root of the volume, at ${JSON.stringify(named)}`);
  return parsePath(named);
}

/** Links are not followed here, and whoever follows one sees his own root; what climbs above that of the volume means no good. */
function checkedTarget(volume: string, path: readonly string[], target: string): string {
  let depth = path.length - 1;
  for (const name of target.startsWith('/') ? [] : target.split('/')) {
    if (name === '..') depth -= 1;
    else if (name !== '' && name !== '.') depth += 1;
    if (depth < 0) throw refused(volume, path.join('/'), 'is a link that would leave the root of the volume');
  }
  return target;
}

function refused(volume: string, entry: string, why: string): HoldfastError {
  return new HoldfastError(
    'InvalidArgument',
    `the archive for volume ${volume} is refused: ${JSON.stringify(entry.slice(0, 200))} ${why}`,
    { details: { entry } },
  );
}

function damaged(volume: string, cause: unknown): HoldfastError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new HoldfastError(
    'InvalidArgument',
    `the archive for volume ${volume} is no tar or tar.gz, or is damaged: ${why}`,
    {
      cause,
    },
  );
}
