import { type Inode, rootIno } from '../../../common/live/inode.js';
import { LiveRefusal } from '../../../common/live/live-error.js';
import type { LiveFiles, LivePlace } from '../../../common/live/live-files.js';
import { refuse } from '../refused.js';
import type { AttributeChange, FileTree, NamePlace, NodeFacts, NodeType, TreeNode } from '../trees/file-tree.js';

interface LiveTreeNode extends TreeNode {
  readonly ino: string;
}

type Place = NamePlace<LiveTreeNode>;

/** A network file system as files: nothing of it is kept here, so that there is nothing that could be old. */
export class LiveTree implements FileTree<LiveTreeNode> {
  readonly isLive = true;
  readonly root: LiveTreeNode = { type: 'directory', ino: rootIno };
  readonly #files: LiveFiles;
  readonly #nodes = new Map<string, LiveTreeNode>();

  constructor(files: LiveFiles) {
    this.#files = files;
  }

  async find({ ino: directory }: LiveTreeNode, name: string): Promise<LiveTreeNode | null> {
    const found = await refusing(this.#files.find({ directory, name }));
    return found === null ? null : this.#node(found.ino, found.inode.type);
  }

  async facts({ ino }: LiveTreeNode): Promise<NodeFacts> {
    return factsOf(await refusing(this.#files.get(ino)));
  }

  async change({ ino }: LiveTreeNode, { size, mode, mtime }: AttributeChange): Promise<void> {
    if (size !== undefined) await refusing(this.#files.content.cut(ino, size));
    if (mode === undefined && mtime === undefined) return;
    const times = mtime === undefined ? {} : { mtimeSeconds: mtime.seconds, mtimeNanos: mtime.nanos };
    await refusing(this.#files.change(ino, { ...times, ...(mode === undefined ? {} : { mode }) }));
  }

  list({ ino }: LiveTreeNode): AsyncIterable<{ readonly name: string; readonly type: NodeType }> {
    return this.#files.list(ino);
  }

  async open({ ino }: LiveTreeNode): Promise<void> {
    await refusing(this.#files.get(ino));
  }

  async read({ ino }: LiveTreeNode, offset: number, length: number): Promise<Buffer> {
    return await refusing(this.#files.content.read(ino, offset, length));
  }

  async write(
    { ino }: LiveTreeNode,
    bytes: Buffer,
    at: { readonly offset: number; readonly isAppend: boolean },
  ): Promise<void> {
    await refusing(this.#files.content.write(ino, bytes, at));
  }

  /** What was written is stored before its write is answered. */
  async flush(): Promise<void> {
    return await Promise.resolve();
  }

  async release(): Promise<void> {
    return await Promise.resolve();
  }

  async makeFile(at: Place, mode: number): Promise<LiveTreeNode> {
    return await this.#make(at, { type: 'file', mode });
  }

  async makeDirectory(at: Place, mode: number): Promise<LiveTreeNode> {
    return await this.#make(at, { type: 'directory', mode });
  }

  async makeSymlink(at: Place, target: string): Promise<LiveTreeNode> {
    return await this.#make(at, { type: 'symlink', mode: 0o777, target });
  }

  async readLink({ ino }: LiveTreeNode): Promise<string> {
    return (await refusing(this.#files.get(ino))).target ?? refuse('EINVAL');
  }

  async remove(at: Place, type: 'file' | 'directory'): Promise<void> {
    await refusing(this.#files.remove(placeOf(at), type));
  }

  async rename(from: Place, to: Place, mayReplace: boolean): Promise<void> {
    await refusing(this.#files.rename(placeOf(from), placeOf(to), mayReplace));
  }

  forgotten({ ino }: LiveTreeNode): void {
    this.#nodes.delete(ino);
  }

  async close(): Promise<void> {
    return await Promise.resolve();
  }

  async #make(at: Place, given: Pick<Inode, 'type' | 'mode' | 'target'>): Promise<LiveTreeNode> {
    const { ino } = await refusing(this.#files.make(placeOf(at), given));
    return this.#node(ino, given.type);
  }

  /** The same object for the same thing: the kernel knows it by that. */
  #node(ino: string, type: NodeType): LiveTreeNode {
    const node = this.#nodes.get(ino) ?? { ino, type };
    this.#nodes.set(ino, node);
    return node;
  }
}

function placeOf({ directory, name }: Place): LivePlace {
  return { directory: directory.ino, name };
}

function factsOf({ type, size, mode, mtimeSeconds, mtimeNanos }: Inode): NodeFacts {
  const bytes = type === 'directory' ? 0 : size;
  const ctimeMs = mtimeSeconds * 1_000 + Math.floor(mtimeNanos / 1_000_000);
  return { size: bytes, bytes, mode, mtimeSeconds, mtimeNanos, ctimeMs };
}

/** In the words of the kernel. */
async function refusing<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof LiveRefusal) return refuse(error.code);
    throw error;
  }
}
