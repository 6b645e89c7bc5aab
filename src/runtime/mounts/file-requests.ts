import { attributesReply, maxWriteBytes, openFileReply, writtenReply } from './fuse/replies.js';
import {
  type FuseRequest,
  isWriteBack,
  parseSetAttributes,
  parseTransfer,
  transferHeaderBytes,
} from './fuse/requests.js';
import type { MountedTrees } from './mounted-trees.js';
import type { FileNode } from './overlay/overlay-node.js';
import { shownNode } from './overlay/shown-node.js';
import { Refused, refuse } from './refused.js';

/** Answers requests for the bytes and attributes of one file. */
export class FileRequests {
  readonly #trees: MountedTrees;
  /** For answers that are given at once: memory that was never used costs more than the bytes in it. */
  readonly #room = Buffer.allocUnsafeSlow(maxWriteBytes);

  constructor(trees: MountedTrees) {
    this.#trees = trees;
  }

  open({ nodeId }: FuseRequest): Buffer {
    const node = this.#trees.node(nodeId);
    this.#trees.ownerOf(node.tree);
    return openFileReply();
  }

  async setAttributes({ nodeId, body }: FuseRequest): Promise<Buffer> {
    const node = this.#trees.changeable(nodeId);
    const { tree } = node;
    const { mode, uid, gid, size, mtime } = parseSetAttributes(body);
    const owner = this.#trees.ownerOf(tree);
    if ([uid, gid].some((id) => id !== undefined && id !== owner.uid)) refuse('EPERM');
    if (size !== undefined) {
      if (node.type !== 'file') refuse('EISDIR');
      this.#trees.checkCut(node, size);
      await tree.cut(node, size);
    }
    if (mode !== undefined || mtime !== undefined)
      tree.setAttributes(node, {
        ...(mode === undefined ? {} : { mode }),
        ...(mtime === undefined ? {} : { mtime }),
      });
    return attributesReply(shownNode(node, owner));
  }

  read({ nodeId, body }: FuseRequest): Buffer | Promise<Buffer> {
    const { offset, size } = parseTransfer(body);
    const file = this.#trees.node(nodeId);
    if (file.type !== 'file') refuse('EISDIR');
    const room = size <= this.#room.length ? this.#room : undefined;
    return file.content.tryRead(offset, size, room) ?? file.content.read(offset, size);
  }

  write(request: FuseRequest): Buffer | Promise<Buffer> {
    const file = this.#trees.changeable(request.nodeId);
    if (file.type !== 'file') refuse('EISDIR');
    if (!isWriteBack(request.body)) return this.#write(file, request);
    const failed = (error: unknown): never => {
      file.tree.unwritten.add(file, error instanceof Refused ? error.code : String(error));
      throw error;
    };
    try {
      const written = this.#write(file, request);
      return written instanceof Promise ? written.catch(failed) : written;
    } catch (error) {
      return failed(error);
    }
  }

  #write(file: FileNode, { body }: FuseRequest): Buffer | Promise<Buffer> {
    const { offset, size } = parseTransfer(body);
    const bytes = body.subarray(transferHeaderBytes, transferHeaderBytes + size);
    this.#trees.checkRoom(file, offset, size);
    const written = (): Buffer => {
      // The kernel has shown programs another time for what it writes back, and tells that one, too.
      file.tree.wrote(file, !isWriteBack(body));
      return writtenReply(size);
    };
    if (file.content.tryWrite(offset, bytes)) return written();
    return file.content.write(offset, Buffer.from(bytes)).then(written);
  }
}
