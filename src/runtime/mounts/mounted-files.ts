import { isUtf8 } from 'node:buffer';
import { constants } from 'node:fs';
import { DirectoryListings } from './directory-listings.js';
import { FileRequests } from './file-requests.js';
import type { FuseAnswer } from './fuse/fuse-device.js';
import {
  absentReply,
  attributesReply,
  entryReply,
  initReply,
  openDirectoryReply,
  openFileReply,
  statfsReply,
} from './fuse/replies.js';
import { type FuseRequest, opcodes, parseForgets, parseInit, parseTransfer, readU64, texts } from './fuse/requests.js';
import type { MountedTrees } from './mounted-trees.js';
import { nameOf } from './overlay/name-of.js';
import type { DirectoryNode, MountNode } from './overlay/overlay-node.js';
import type { OverlayTree } from './overlay/overlay-tree.js';
import { hostRoot, rootId, shownNode, typeBits } from './overlay/shown-node.js';
import { refuse } from './refused.js';
import { controlReply, parseControl, type VolumeAsk } from './volume-control.js';

const maxTargetBytes = 4_095;
const typeMask = 0o170000;
const renameNoReplace = 1;
const done = Buffer.alloc(0);

export interface MountedFilesParts {
  readonly trees: MountedTrees;
  readonly diskSpace: () => { readonly totalBytes: number; readonly freeBytes: number };
  /** Does what a program inside asks of its volume; the id of the commit that it sees then. */
  readonly control: (tree: OverlayTree, ask: VolumeAsk) => Promise<string>;
}

type Handler = (request: FuseRequest) => FuseAnswer | Promise<FuseAnswer>;

/**
 * Answers the kernel from the trees of a host's mounts, each a folder of its own. Files have no handles: what is open the
 * kernel remembers, and data of a removed file stay until it forgets them. To open one is a request all the same: the kernel
 * would go on with what it has in its memory after the end of this process, and lose what is written. What only whole file systems have (hard links, devices, extended attributes, locks) is refused.
 */
export class MountedFiles {
  readonly trees: MountedTrees;
  readonly #files: FileRequests;
  readonly #listings = new DirectoryListings();
  readonly #diskSpace: MountedFilesParts['diskSpace'];
  readonly #controls: MountedFilesParts['control'];
  readonly #handlers: ReadonlyMap<number, Handler>;

  constructor({ trees, diskSpace, control }: MountedFilesParts) {
    this.trees = trees;
    this.#files = new FileRequests(trees);
    this.#diskSpace = diskSpace;
    this.#controls = control;
    this.#handlers = new Map<number, Handler>([
      [opcodes.init, ({ body }) => initReply(parseInit(body))],
      [opcodes.lookup, (request) => this.#lookUp(request)],
      [opcodes.getattr, ({ nodeId }) => attributesReply(this.#shown(nodeId))],
      [opcodes.setattr, (request) => this.#files.setAttributes(request)],
      [opcodes.readlink, ({ nodeId }) => this.#readLink(nodeId)],
      [opcodes.read, (request) => this.#files.read(request)],
      [opcodes.write, (request) => this.#files.write(request)],
      [opcodes.open, (request) => this.#files.open(request)],
      [opcodes.create, (request) => this.#create(request)],
      [opcodes.mknod, (request) => this.#makeFile(request)],
      [opcodes.mkdir, (request) => this.#makeDirectory(request)],
      [opcodes.symlink, (request) => this.#makeSymlink(request)],
      [opcodes.link, () => refuse('EPERM')],
      [opcodes.unlink, (request) => this.#remove(request, false)],
      [opcodes.rmdir, (request) => this.#remove(request, true)],
      [opcodes.rename, (request) => this.#rename(request, { headBytes: 8, flags: 0 })],
      [opcodes.rename2, (request) => this.#rename(request, { headBytes: 16, flags: request.body.readUInt32LE(8) })],
      [opcodes.opendir, ({ nodeId }) => openDirectoryReply(this.#listings.open(this.trees.folder(nodeId)))],
      [opcodes.readdir, (request) => this.#readDirectory(request, false)],
      [opcodes.readdirplus, (request) => this.#readDirectory(request, true)],
      [opcodes.releasedir, ({ body }) => this.#listings.close(readU64(body, 0)) ?? done],
      [opcodes.release, () => done],
      [opcodes.statfs, ({ nodeId }) => statfsReply(this.#space(nodeId))],
      [opcodes.forget, ({ nodeId, body }) => this.#forget(nodeId, readU64(body, 0))],
      [opcodes.batchForget, ({ body }) => this.#forgetAll(body)],
      [opcodes.ioctl, ({ nodeId, body }) => this.#control(nodeId, body)],
      [opcodes.destroy, () => done],
    ]);
  }

  answer(request: FuseRequest): FuseAnswer | Promise<FuseAnswer> {
    const handler = this.#handlers.get(request.opcode);
    return handler === undefined ? refuse('ENOSYS') : handler(request);
  }

  #lookUp({ nodeId, body }: FuseRequest): Buffer | Promise<Buffer> {
    const name = nameOf(texts(body)[0]);
    if (nodeId === rootId) return this.#entry(this.trees.rootOf(name));
    const directory = this.trees.directory(nodeId);
    const { tree } = directory;
    const known = tree.gate.isOpen ? tree.known(directory, name) : undefined;
    if (known !== undefined) return this.#entry(known);
    return tree.gate.shared(async () => this.#entry(await tree.lookUp(directory, name)));
  }

  /** The kernel knows of it from now on. */
  #entry(node: MountNode | null): Buffer {
    if (node === null) return absentReply();
    const reply = entryReply(shownNode(node, this.trees.ownerOf(node.tree)));
    node.lookups += 1;
    return reply;
  }

  #readLink(nodeId: number): Buffer {
    const node = this.trees.node(nodeId);
    return node.type === 'symlink' ? Buffer.from(node.target, 'utf8') : refuse('EINVAL');
  }

  async #create({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [flags, mode, name] = [body.readUInt32LE(0), body.readUInt32LE(4), nameOf(texts(body.subarray(16))[0])];
    const entry = await this.#within(nodeId, async (directory) => {
      // A reload may have brought one of that name, of which the kernel has not been told yet.
      const known = (flags & constants.O_EXCL) === 0 ? await directory.tree.lookUp(directory, name) : null;
      // The kernel, which believes that it is new, does not cut it.
      if (known?.type === 'file' && (flags & constants.O_TRUNC) !== 0) await directory.tree.cut(known, 0);
      return this.#entry(known ?? (await directory.tree.makeFile(directory, name, mode)));
    });
    return Buffer.concat([entry, openFileReply()]);
  }

  #makeFile({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [mode, name] = [body.readUInt32LE(0), nameOf(texts(body.subarray(16))[0])];
    if ((mode & typeMask) !== typeBits.file) refuse('EPERM');
    return this.#within(nodeId, async (directory) => this.#entry(await directory.tree.makeFile(directory, name, mode)));
  }

  #makeDirectory({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [mode, name] = [body.readUInt32LE(0), nameOf(texts(body.subarray(8))[0])];
    return this.#within(nodeId, async (directory) =>
      this.#entry(await directory.tree.makeDirectory(directory, name, mode)),
    );
  }

  #makeSymlink({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const [text, target] = texts(body);
    const name = nameOf(text);
    if (target === undefined || !isUtf8(target)) refuse('EILSEQ');
    if (target.length > maxTargetBytes) refuse('ENAMETOOLONG');
    const to = target.toString('utf8');
    return this.#within(nodeId, async (directory) =>
      this.#entry(await directory.tree.makeSymlink(directory, name, to)),
    );
  }

  #remove({ nodeId, body }: FuseRequest, isDirectory: boolean): Promise<Buffer> {
    const name = nameOf(texts(body)[0]);
    return this.#within(nodeId, async (directory) => {
      await directory.tree.remove(directory, name, isDirectory);
      return done;
    });
  }

  #rename(
    { nodeId, body }: FuseRequest,
    { headBytes, flags }: { readonly headBytes: number; readonly flags: number },
  ): Promise<Buffer> {
    const target = this.trees.folder(readU64(body, 0));
    const [from, to] = texts(body.subarray(headBytes)).map(nameOf);
    if ((flags & ~renameNoReplace) !== 0 || from === undefined || to === undefined) refuse('EINVAL');
    return this.#within(nodeId, async (directory) => {
      if (target === null || target.tree !== directory.tree) refuse('EXDEV');
      const mayReplace = (flags & renameNoReplace) === 0;
      await directory.tree.rename({ directory, name: from }, { directory: target, name: to }, mayReplace);
      return done;
    });
  }

  #readDirectory({ body }: FuseRequest, isPlus: boolean): Promise<Buffer> {
    const { handle, offset, size } = parseTransfer(body);
    const stream = this.#listings.of(handle);
    const ask = { offset, size, isPlus };
    if (stream === null) return Promise.resolve(this.#listings.mounts(this.trees.names, ask));
    const owner = this.trees.ownerOf(stream.directory.tree);
    return stream.directory.tree.gate.shared(() => this.#listings.read(stream, ask, owner));
  }

  #control(nodeId: number, body: Buffer): Promise<Buffer> {
    if (nodeId === rootId) refuse('ENOTTY');
    const { tree } = this.trees.node(nodeId);
    this.trees.ownerOf(tree);
    return controlReply(this.#controls(tree, parseControl(body)));
  }

  #space(nodeId: number): { readonly totalBytes: number; readonly freeBytes: number } {
    return (nodeId === rootId ? null : this.trees.spaceOf(this.trees.node(nodeId).tree)) ?? this.#diskSpace();
  }

  #forget(nodeId: number, lookups: number): null {
    const node = this.trees.table.get(nodeId);
    node?.tree.forget(node, lookups);
    return null;
  }

  #forgetAll(body: Buffer): null {
    for (const { nodeId, lookups } of parseForgets(body)) this.#forget(nodeId, lookups);
    return null;
  }

  #shown(nodeId: number) {
    if (nodeId === rootId) return hostRoot;
    const node = this.trees.node(nodeId);
    return shownNode(node, this.trees.ownerOf(node.tree));
  }

  async #within(nodeId: number, work: (directory: DirectoryNode) => Promise<Buffer>): Promise<Buffer> {
    const directory = this.trees.changeable(nodeId);
    if (directory.type !== 'directory') refuse('ENOTDIR');
    return await directory.tree.gate.shared(() => work(directory));
  }
}
