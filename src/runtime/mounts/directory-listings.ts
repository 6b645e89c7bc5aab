import { DirectoryStream, type Listed } from './directory-stream.js';
import { DirentBuffer } from './fuse/replies.js';
import type { DirectoryNode, MountNode } from './overlay/overlay-node.js';
import { type MountOwner, rootId, shownNode, typeBits } from './overlay/shown-node.js';

interface Ask {
  readonly offset: number;
  readonly size: number;
  /** With attributes; the kernel knows of those nodes then. */
  readonly isPlus: boolean;
}

/** Directories that somebody has open, by handle. */
export class DirectoryListings {
  readonly #streams = new Map<number, DirectoryStream>();
  #last = 0;

  /** @param directory null: the folder of all mounts */
  open(directory: DirectoryNode | null): number {
    this.#last += 1;
    if (directory !== null) this.#streams.set(this.#last, new DirectoryStream(directory));
    return this.#last;
  }

  of(handle: number): DirectoryStream | null {
    return this.#streams.get(handle) ?? null;
  }

  close(handle: number): undefined {
    this.#streams.delete(handle);
  }

  async read(stream: DirectoryStream, { offset, size, isPlus }: Ask, owner: MountOwner): Promise<Buffer> {
    const buffer = new DirentBuffer(size);
    await stream.seek(offset);
    for (let listed = await stream.next(); listed !== null; listed = await stream.next()) {
      const name = Buffer.from(listed.name, 'utf8');
      if (!buffer.fits(name, isPlus)) break;
      const node = isPlus ? await nodeOf(stream, listed) : known(listed);
      stream.take();
      // Removed since it was listed.
      if (node === 'gone') continue;
      const isEntry = listed.what !== 'self' && listed.what !== 'parent';
      const dirent = { name, offset: stream.offset - 1, typeBits: typeOf(listed), ino: inoOf(stream, listed, node) };
      if (isPlus && isEntry && node !== null) node.lookups += 1;
      buffer.add(dirent, isPlus ? (isEntry && node !== null ? shownNode(node, owner) : 'none') : null);
    }
    return buffer.take();
  }

  /** The folder of all mounts; in it are few, and each is found by its name. */
  mounts(names: readonly string[], { offset, size, isPlus }: Ask): Buffer {
    const buffer = new DirentBuffer(size);
    for (const [i, text] of ['.', '..', ...names].entries()) {
      const name = Buffer.from(text, 'utf8');
      if (i < offset) continue;
      if (!buffer.fits(name, isPlus)) break;
      buffer.add({ name, offset: i + 1, typeBits: typeBits.directory, ino: null }, isPlus ? 'none' : null);
    }
    return buffer.take();
  }
}

function known({ what }: Listed): MountNode | null {
  return typeof what === 'object' && 'tree' in what ? what : null;
}

/** What it is now, in place of what it was when the list began. */
async function nodeOf(
  { directory, base }: DirectoryStream,
  { name, what }: Listed,
): Promise<MountNode | null | 'gone'> {
  if (what === 'self' || what === 'parent') return null;
  const { tree } = directory;
  const isOfBase = !('tree' in what) && directory.base === base;
  return (isOfBase ? tree.load(directory, name, what) : await tree.lookUp(directory, name)) ?? 'gone';
}

function typeOf({ what }: Listed): number {
  return typeof what === 'string' ? typeBits.directory : typeBits[what.type];
}

function inoOf({ directory }: DirectoryStream, { what }: Listed, node: MountNode | null): number | null {
  if (what === 'self') return directory.id;
  if (what === 'parent') return directory.parent?.id ?? rootId;
  return node?.id ?? null;
}
