import type { Clock } from '../../../common/clock.js';
import type { Bucket } from '../../../common/ports/bucket.js';
import { wrongName } from '../../../common/volumes/node-codec.js';
import { refuse } from '../refused.js';
import type { AttributeChange, FileTree, NamePlace, NodeFacts, NodeType } from '../trees/file-tree.js';
import type { BlockCache } from './block-cache.js';
import { BucketFolders } from './bucket-folders.js';
import { type BucketNode, childPath, factsOf, inTurn, parentOf } from './bucket-node.js';
import { BucketNodes } from './bucket-nodes.js';
import { renameDirectory, renameFile } from './bucket-renames.js';
import type { Draft } from './draft.js';
import { Drafts } from './drafts.js';

export interface BucketTreeParts {
  /** Unique on this host. */
  readonly id: string;
  readonly bucket: Bucket;
  /** Empty, or with a slash at its end. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly blocks: BlockCache;
  /** Of this tree alone; files that are written to are there until they are uploaded. */
  readonly folder: string;
  /** What those may take together. */
  readonly maxLocalBytes: number;
  readonly log: (line: string) => void;
}

type Place = NamePlace<BucketNode>;

const pageKeys = 1_000;
const fileMode = 0o644;
const directoryMode = 0o755;
const draftPieceBytes = 4_194_304;

/**
 * A bucket as files. An object is a file, its key a path; folders are prefixes, and empty objects whose keys end with a slash.
 *
 * I1. An object is replaced whole, by the upload of a file when it is closed or synced; the local copy is the only place of what was
 *     written before, and who closes hears whether it went well.
 * I2. What is read of a file is of one object: when it is replaced meanwhile, whoever has it open gets ESTALE, never parts of both.
 * I3. Changes of one file take turns.
 */
export class BucketTree implements FileTree<BucketNode> {
  readonly isLive = false;
  readonly nodes: BucketNodes;
  readonly parts: BucketTreeParts;
  readonly folders: BucketFolders;
  readonly #drafts: Drafts;

  constructor(parts: BucketTreeParts) {
    this.parts = parts;
    this.nodes = new BucketNodes(parts);
    this.#drafts = new Drafts(parts);
    this.folders = new BucketFolders(parts.bucket, this.nodes, this.#drafts);
  }

  get root(): BucketNode {
    return this.nodes.root;
  }

  async find(directory: BucketNode, name: string): Promise<BucketNode | null> {
    return await this.nodes.find(childPath(directory, name));
  }

  async facts(node: BucketNode): Promise<NodeFacts> {
    if (node.type === 'directory') return factsOf({ size: 0, modifiedMs: 0 }, directoryMode);
    if (node.draft !== null) return factsOf(node.draft, fileMode);
    const object = await this.nodes.objectOf(node);
    return object === null ? refuse(node.isGone ? 'ESTALE' : 'ENOENT') : factsOf(object, fileMode);
  }

  /** A bucket has no permissions and times: setting them does nothing, so that programs that copy files go on. */
  async change(node: BucketNode, { size }: AttributeChange): Promise<void> {
    if (size === undefined) return;
    await inTurn(node, async () => {
      const draft = size === 0 ? await this.#emptyDraft(node) : await this.#draft(node);
      this.#drafts.checkRoom(draft, size);
      await draft.cut(size);
      draft.modifiedMs = this.parts.clock.now();
      if (node.openings > 0) return;
      try {
        await this.#upload(node);
      } finally {
        await this.#dropDraft(node);
      }
    });
  }

  async *list(directory: BucketNode): AsyncGenerator<{ readonly name: string; readonly type: NodeType }> {
    const prefix = this.nodes.folderKey(directory.path);
    const unlisted = new Map(this.#draftsIn(directory).map((node) => [node.path, node]));
    for (let after: string | null = null; ; ) {
      const page = await this.parts.bucket.list({ prefix, inFolders: true, limit: pageKeys, after });
      const names = new Set<string>();
      for (const folder of page.folders) {
        const name = folder.slice(prefix.length, -1);
        if (wrongName(name) !== null) continue;
        names.add(name);
        this.nodes.hear(childPath(directory, name), null);
        yield { name, type: 'directory' };
      }
      for (const object of page.objects) {
        const name = object.key.slice(prefix.length);
        // The folder's own, what is no name of a file, and what a folder of the name hides.
        if (wrongName(name) !== null || names.has(name)) continue;
        const path = childPath(directory, name);
        unlisted.delete(path);
        this.nodes.hear(path, object);
        yield { name, type: 'file' };
      }
      after = page.next;
      if (after === null) break;
    }
    for (const path of unlisted.keys()) yield { name: path.slice(path.lastIndexOf('/') + 1), type: 'file' };
  }

  async open(file: BucketNode): Promise<void> {
    if (file.draft === null && !file.isGone) {
      // With each opening what is there then.
      file.heardMs = Number.NEGATIVE_INFINITY;
      if ((await this.nodes.objectOf(file)) === null && file.draft === null) refuse('ENOENT');
      // Another object by now: the kernel looks the name up again.
      if (file.draft === null && file.heardMs === Number.NEGATIVE_INFINITY) refuse('ESTALE');
    }
    file.openings += 1;
  }

  async read(file: BucketNode, offset: number, length: number): Promise<Buffer> {
    const { draft, object, window } = file;
    if (draft !== null) return await draft.read(offset, length);
    if (object === null) return refuse('ESTALE');
    const bytes = await this.parts.blocks.read(this.parts, object, { offset, length, window });
    return bytes ?? refuse('ESTALE');
  }

  async write(
    file: BucketNode,
    bytes: Buffer,
    { offset, isAppend }: { readonly offset: number; readonly isAppend: boolean },
  ): Promise<void> {
    await inTurn(file, async () => {
      const draft = await this.#draft(file);
      const start = isAppend ? draft.size : offset;
      this.#drafts.checkRoom(draft, start + bytes.length);
      await draft.write(bytes, start);
      draft.modifiedMs = this.parts.clock.now();
    });
  }

  async flush(file: BucketNode): Promise<void> {
    await inTurn(file, () => this.#upload(file));
  }

  async release(file: BucketNode): Promise<void> {
    file.openings -= 1;
    if (file.openings > 0) return;
    await inTurn(file, async () => {
      if (file.openings !== 0) return;
      // What was written through a map after the last close of a descriptor; what that close was refused stays refused.
      if (file.draft?.isChanged === true && !file.draft.isRefused) await this.#upload(file).catch(() => undefined);
      await this.#dropDraft(file);
    });
  }

  async makeFile({ directory, name }: Place): Promise<BucketNode> {
    const path = childPath(directory, name);
    const file = this.nodes.make(path, 'file');
    await inTurn(file, () => this.#emptyDraft(file));
    this.nodes.unhear(path);
    return file;
  }

  async makeDirectory({ directory, name }: Place): Promise<BucketNode> {
    const path = childPath(directory, name);
    if ((await this.nodes.find(path)) !== null) refuse('EEXIST');
    await this.folders.make(path);
    this.nodes.unhear(path);
    return this.nodes.make(path, 'directory');
  }

  async makeSymlink(): Promise<BucketNode> {
    return refuse('EPERM');
  }

  async readLink(): Promise<string> {
    return refuse('EINVAL');
  }

  async remove({ directory, name }: Place, type: 'file' | 'directory'): Promise<void> {
    const node = (await this.find(directory, name)) ?? refuse('ENOENT');
    if (node.type !== type) refuse(type === 'file' ? 'EISDIR' : 'ENOTDIR');
    if (type === 'directory') await this.folders.checkEmpty(node.path);
    await inTurn(node, async () => {
      if (type === 'file') await this.folders.keep(parentOf(node.path));
      const { path } = node;
      await this.parts.bucket.delete(type === 'file' ? this.nodes.key(path) : this.nodes.folderKey(path));
      this.gone(node);
    });
  }

  async rename(from: Place, to: Place, mayReplace: boolean): Promise<void> {
    const node = (await this.find(from.directory, from.name)) ?? refuse('ENOENT');
    const fromPath = node.path;
    const path = childPath(to.directory, to.name);
    if (path === node.path) return;
    if (path.startsWith(`${node.path}/`)) refuse('EINVAL');
    const target = await this.nodes.find(path);
    if (target !== null) {
      if (!mayReplace) refuse('EEXIST');
      if (target.type !== node.type) refuse(target.type === 'directory' ? 'EISDIR' : 'ENOTDIR');
      if (target.type === 'directory') await this.folders.checkEmpty(path);
    }
    const isStill = (): boolean => !node.isGone && node.path === fromPath && childPath(to.directory, to.name) === path;
    await (node.type === 'file'
      ? renameFile(this, node, { path, target, isStill })
      : renameDirectory(this, node, { path, target, isStill }));
  }

  forgotten(node: BucketNode): void {
    this.nodes.drop(node);
  }

  async close(): Promise<void> {
    for (const node of this.nodes.all) await inTurn(node, () => this.#dropDraft(node));
    // Of files that were removed, and are open.
    await this.#drafts.close();
    this.parts.bucket.close();
  }

  /** Its file is open here, or it is a folder; nothing is there any more. */
  gone(node: BucketNode): void {
    node.isGone = true;
    node.object = null;
    this.folders.gone(node.path);
    this.nodes.unhear(node.path);
    this.nodes.drop(node);
  }

  /** The draft of a file that is closed, or that is to be copied, goes to the bucket. In the node's turn. */
  async uploadNow(file: BucketNode): Promise<void> {
    await this.#upload(file);
  }

  #draftsIn({ path }: BucketNode): BucketNode[] {
    return [...this.nodes.all].filter((node) => node.draft !== null && parentOf(node.path) === path);
  }

  async #upload(file: BucketNode): Promise<void> {
    const { draft } = file;
    if (draft === null || !draft.isChanged || file.isGone) return;
    try {
      await this.parts.bucket.put(this.nodes.key(file.path), draft);
    } catch (error) {
      draft.isRefused = true;
      throw error;
    }
    draft.isChanged = false;
    this.nodes.unhear(file.path);
    file.heardMs = Number.NEGATIVE_INFINITY;
  }

  /** What was written to a file is on this host from the first byte on. In the node's turn. */
  async #draft(file: BucketNode): Promise<Draft> {
    if (file.draft !== null) return file.draft;
    const { clock, blocks } = this.parts;
    const draft = await this.#drafts.make(clock.now());
    try {
      const object = await this.nodes.objectOf(file);
      for (let offset = 0; object !== null && offset < object.size; ) {
        const piece = await blocks.read(this.parts, object, { offset, length: draftPieceBytes, window: file.window });
        if (piece === null || piece.length === 0) return refuse('ESTALE');
        this.#drafts.checkRoom(draft, offset + piece.length);
        await draft.write(piece, offset);
        offset += piece.length;
      }
    } catch (error) {
      await this.#drafts.remove(draft);
      throw error;
    }
    draft.isChanged = false;
    file.draft = draft;
    return draft;
  }

  async #emptyDraft(file: BucketNode): Promise<Draft> {
    file.draft ??= await this.#drafts.make(this.parts.clock.now());
    return file.draft;
  }

  async #dropDraft(file: BucketNode): Promise<void> {
    const { draft } = file;
    if (draft === null) return;
    if (draft.isChanged && !file.isGone)
      this.parts.log(`what was written to ${file.path} could not be uploaded, and is lost; who closed it was told`);
    file.draft = null;
    file.heardMs = Number.NEGATIVE_INFINITY;
    await this.#drafts.remove(draft);
  }
}
