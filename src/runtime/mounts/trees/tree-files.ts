import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import type { FuseAnswer } from '../fuse/fuse-device.js';
import {
  absentReply,
  attributesReply,
  entryReply,
  initReply,
  openDirectoryReply,
  openSharedReply,
  statfsReply,
  writtenReply,
} from '../fuse/replies.js';
import {
  type FuseRequest,
  opcodes,
  openFlagsOfWrite,
  parseForgets,
  parseInit,
  parseSetAttributes,
  parseTransfer,
  readU64,
  texts,
  transferHeaderBytes,
} from '../fuse/requests.js';
import { nameOf } from '../overlay/name-of.js';
import { hostRoot, rootId } from '../overlay/shown-node.js';
import { refuse } from '../refused.js';
import type { TreeNode } from './file-tree.js';
import { createFile, type Maker, makeDirectory, makeFile } from './make-node.js';
import { TreeListings } from './tree-listing.js';
import { type KnownNode, secondsOf, shownOf, type TreeTable } from './tree-table.js';

const maxTargetBytes = 4_095;
const renameNoReplace = 1;
const done = Buffer.alloc(0);
/** Nobody says how much room there is. */
const space = { totalBytes: 2 ** 50, freeBytes: 2 ** 50 };

type Handler = (request: FuseRequest) => FuseAnswer | Promise<FuseAnswer>;

/**
 * Answers the kernel from trees whose files others change, too. Unlike `MountedFiles` nothing is left to the kernel: it asks for
 * names and attributes each time, and writes at once.
 */
export class TreeFiles {
  readonly #table: TreeTable;
  readonly #now: () => number;
  readonly #listings = new TreeListings();
  readonly #handlers: ReadonlyMap<number, Handler>;

  /** @param now in ms since 1970 */
  constructor(table: TreeTable, now: () => number) {
    this.#table = table;
    this.#now = now;
    this.#handlers = new Map<number, Handler>([
      [opcodes.init, ({ body }) => initReply(parseInit(body), false)],
      [opcodes.lookup, (request) => this.#lookUp(request)],
      [opcodes.getattr, ({ nodeId }) => this.#getAttributes(nodeId)],
      [opcodes.setattr, (request) => this.#setAttributes(request)],
      [opcodes.readlink, ({ nodeId }) => this.#readLink(nodeId)],
      [opcodes.open, ({ nodeId, body }) => this.#open(nodeId, body.readUInt32LE(0))],
      [opcodes.create, (request) => this.#create(request)],
      [opcodes.read, (request) => this.#read(request)],
      [opcodes.write, (request) => this.#write(request)],
      [opcodes.flush, ({ nodeId }) => this.#flush(nodeId)],
      [opcodes.fsync, ({ nodeId }) => this.#flush(nodeId)],
      [opcodes.fsyncdir, () => done],
      [opcodes.release, ({ nodeId }) => this.#release(nodeId)],
      [opcodes.mknod, (request) => this.#make(request, 16, makeFile)],
      [opcodes.mkdir, (request) => this.#make(request, 8, makeDirectory)],
      [opcodes.symlink, (request) => this.#makeSymlink(request)],
      [opcodes.link, () => refuse('EPERM')],
      [opcodes.unlink, (request) => this.#remove(request, 'file')],
      [opcodes.rmdir, (request) => this.#remove(request, 'directory')],
      [opcodes.rename, (request) => this.#rename(request, { headBytes: 8, flags: 0 })],
      [opcodes.rename2, (request) => this.#rename(request, { headBytes: 16, flags: request.body.readUInt32LE(8) })],
      [opcodes.opendir, ({ nodeId }) => this.#openDirectory(nodeId)],
      [opcodes.readdir, ({ body }) => this.#readDirectory(body)],
      [opcodes.releasedir, ({ body }) => this.#closeDirectory(readU64(body, 0))],
      [opcodes.statfs, () => statfsReply(space)],
      [opcodes.forget, ({ nodeId, body }) => this.#forget(nodeId, readU64(body, 0))],
      [opcodes.batchForget, ({ body }) => this.#forgetAll(body)],
      [opcodes.ioctl, () => refuse('ENOTTY')],
      [opcodes.destroy, () => done],
    ]);
  }

  answer(request: FuseRequest): FuseAnswer | Promise<FuseAnswer> {
    const handler = this.#handlers.get(request.opcode);
    return handler === undefined ? refuse('ENOSYS') : handler(request);
  }

  async #lookUp({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const name = nameOf(texts(body)[0]);
    if (nodeId === rootId) {
      const root = this.#table.rootOf(name);
      return root === null ? absent() : await this.#entry(root);
    }
    const { mounted, node } = this.#directory(nodeId);
    const found = await mounted.tree.find(node, name);
    return found === null ? absent() : await this.#entry(this.#table.of(mounted, found));
  }

  /** The kernel knows of it from now on. */
  async #entry(known: KnownNode): Promise<Buffer> {
    // Counted first: nobody else's forgetting drops it meanwhile.
    known.lookups += 1;
    try {
      return entryReply(await shownOf(known), secondsOf(known));
    } catch (error) {
      this.#table.forget(known.id, 1);
      throw error;
    }
  }

  async #made({ mounted }: KnownNode, making: Promise<TreeNode>): Promise<Buffer> {
    return await this.#entry(this.#table.of(mounted, await making));
  }

  async #getAttributes(nodeId: number): Promise<Buffer> {
    if (nodeId === rootId) return attributesReply(hostRoot, 0);
    const known = this.#node(nodeId);
    return attributesReply(await shownOf(known), secondsOf(known));
  }

  async #setAttributes({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const { uid, gid, mtime, mode, size } = parseSetAttributes(body);
    const known = this.#changeable(nodeId);
    const { mounted, node } = known;
    if ([uid, gid].some((id) => id !== undefined && id !== mounted.uid)) refuse('EPERM');
    if (size !== undefined && node.type !== 'file') refuse('EISDIR');
    const nowMs = this.#now();
    const now = { seconds: Math.floor(nowMs / 1_000), nanos: (nowMs % 1_000) * 1_000_000 };
    await mounted.tree.change(node, {
      ...(mode === undefined ? {} : { mode }),
      ...(mtime === undefined ? {} : { mtime: mtime === 'now' ? now : mtime }),
      ...(size === undefined ? {} : { size }),
    });
    return attributesReply(await shownOf(known), secondsOf(known));
  }

  async #readLink(nodeId: number): Promise<Buffer> {
    const { mounted, node } = this.#node(nodeId);
    return Buffer.from(await mounted.tree.readLink(node), 'utf8');
  }

  async #open(nodeId: number, flags: number): Promise<Buffer> {
    const { mounted, node } = this.#file(nodeId);
    if (mounted.isReadOnly && (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0) refuse('EROFS');
    await mounted.tree.open(node);
    return openSharedReply(0, !mounted.tree.isLive);
  }

  async #create({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [flags, mode, name] = [body.readUInt32LE(0), body.readUInt32LE(4), nameOf(texts(body.subarray(16))[0])];
    const { mounted, node: directory } = this.#changeableDirectory(nodeId);
    const { tree } = mounted;
    const file = await createFile(tree, { directory, name }, { flags, mode });
    try {
      const entry = await this.#entry(this.#table.of(mounted, file));
      return Buffer.concat([entry, openSharedReply(0, !tree.isLive)]);
    } catch (error) {
      await tree.release(file);
      throw error;
    }
  }

  async #read({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const { offset, size } = parseTransfer(body);
    const { mounted, node } = this.#file(nodeId);
    return await mounted.tree.read(node, offset, size);
  }

  async #write({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const { offset, size } = parseTransfer(body);
    const isAppend = (openFlagsOfWrite(body) & constants.O_APPEND) !== 0;
    // The kernel's next request is read over it.
    const bytes = Buffer.from(body.subarray(transferHeaderBytes, transferHeaderBytes + size));
    const { mounted, node } = this.#file(nodeId);
    if (mounted.isReadOnly) refuse('EROFS');
    await mounted.tree.write(node, bytes, { offset, isAppend });
    return writtenReply(size);
  }

  async #flush(nodeId: number): Promise<Buffer> {
    const { mounted, node } = this.#node(nodeId);
    if (node.type === 'file') await mounted.tree.flush(node);
    return done;
  }

  /** It was detached meanwhile: its tree has let go of all. */
  async #release(nodeId: number): Promise<Buffer> {
    const known = this.#table.get(nodeId);
    if (known !== null) await known.mounted.tree.release(known.node);
    return done;
  }

  /** Of a request that has the mode first, and the name at its end. */
  async #make({ nodeId, body }: FuseRequest, headBytes: number, make: Maker): Promise<Buffer> {
    const [mode, name] = [body.readUInt32LE(0), nameOf(texts(body.subarray(headBytes))[0])];
    const known = this.#changeableDirectory(nodeId);
    const { mounted, node: directory } = known;
    return await this.#made(known, make(mounted.tree, { directory, name }, mode));
  }

  async #makeSymlink({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [text, target] = texts(body);
    const name = nameOf(text);
    if (target === undefined || !isUtf8(target)) refuse('EILSEQ');
    if (target.length > maxTargetBytes) refuse('ENAMETOOLONG');
    const known = this.#changeableDirectory(nodeId);
    const { mounted, node: directory } = known;
    return await this.#made(known, mounted.tree.makeSymlink({ directory, name }, target.toString('utf8')));
  }

  async #remove({ nodeId, body }: FuseRequest, type: 'file' | 'directory'): Promise<Buffer> {
    const name = nameOf(texts(body)[0]);
    const { mounted, node: directory } = this.#changeableDirectory(nodeId);
    await mounted.tree.remove({ directory, name }, type);
    return done;
  }

  async #rename(
    { nodeId, body }: FuseRequest,
    { headBytes, flags }: { readonly headBytes: number; readonly flags: number },
  ): Promise<Buffer> {
    const [from, to] = texts(body.subarray(headBytes)).map(nameOf);
    if ((flags & ~renameNoReplace) !== 0 || from === undefined || to === undefined) refuse('EINVAL');
    const [source, target] = [this.#changeableDirectory(nodeId), this.#changeableDirectory(readU64(body, 0))];
    if (source.mounted !== target.mounted) refuse('EXDEV');
    const { tree } = source.mounted;
    const places = [
      { directory: source.node, name: from },
      { directory: target.node, name: to },
    ] as const;
    await tree.rename(...places, (flags & renameNoReplace) === 0);
    return done;
  }

  #openDirectory(nodeId: number): Buffer {
    const known = nodeId === rootId ? null : this.#directory(nodeId);
    const of = known && { tree: known.mounted.tree, node: known.node };
    return openDirectoryReply(this.#listings.open(of, this.#table.names));
  }

  async #readDirectory(body: Buffer): Promise<Buffer> {
    const { handle, offset, size } = parseTransfer(body);
    return await this.#listings.read(handle, offset, size);
  }

  async #closeDirectory(handle: number): Promise<Buffer> {
    await this.#listings.close(handle);
    return done;
  }

  #forget(nodeId: number, lookups: number): null {
    this.#table.forget(nodeId, lookups);
    return null;
  }

  #forgetAll(body: Buffer): null {
    for (const { nodeId, lookups } of parseForgets(body)) this.#forget(nodeId, lookups);
    return null;
  }

  #changeableDirectory(nodeId: number): KnownNode {
    // Mounts come and go by the worker's word only.
    if (nodeId === rootId) refuse('EROFS');
    const known = this.#changeable(nodeId);
    return known.node.type === 'directory' ? known : refuse('ENOTDIR');
  }

  #changeable(nodeId: number): KnownNode {
    if (nodeId === rootId) refuse('EROFS');
    const known = this.#node(nodeId);
    return known.mounted.isReadOnly ? refuse('EROFS') : known;
  }

  #directory(nodeId: number): KnownNode {
    const known = this.#node(nodeId);
    return known.node.type === 'directory' ? known : refuse('ENOTDIR');
  }

  #file(nodeId: number): KnownNode {
    const known = this.#node(nodeId);
    return known.node.type === 'file' ? known : refuse('EISDIR');
  }

  /** The kernel names what it was told of: what is not there any more was detached. */
  #node(nodeId: number): KnownNode {
    return this.#table.get(nodeId) ?? refuse('EIO');
  }
}

/** Nothing of that name now; the kernel asks again. */
function absent(): Buffer {
  return absentReply(0);
}
