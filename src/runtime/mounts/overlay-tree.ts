import type { Clock } from '../../common/clock.js';
import { entriesOf, lookUp, type NodeSource } from '../../common/volumes/directory.js';
import type { Attributes, DirectoryEntry, Entry } from '../../common/volumes/entry.js';
import { emptyDirectory } from '../../common/volumes/tree.js';
import { type ContentParts, FileContent } from './file-content.js';
import { NodeMaker } from './node-maker.js';
import {
  type DirectoryNode,
  type FileNode,
  hasChild,
  isGone,
  type MountNode,
  type NodeTable,
  type SymlinkNode,
} from './overlay-node.js';
import { refuse } from './refused.js';
import { TreeGate } from './tree-gate.js';

export interface OverlayParts {
  readonly source: NodeSource;
  readonly content: ContentParts;
  readonly table: NodeTable;
  readonly clock: Pick<Clock, 'now'>;
}

/** What becomes of attributes; what is left out stays. */
export interface NewAttributes {
  readonly mode?: number;
  /** ms since 1970, with fractions. */
  readonly mtime?: { readonly seconds: number; readonly nanos: number };
}

/**
 * A committed tree with changes on top of it, in memory: nodes are made when they are asked for, and go when the kernel has
 * forgotten them, unless they were changed.
 *
 * I1. Every name that differs from a directory's base is in its `changes`, and so are all directories above it in theirs.
 * I2. Each function that changes the tree does so in one step, after whatever it had to wait for.
 */
export class OverlayTree {
  readonly root: DirectoryNode;
  readonly parts: OverlayParts;
  readonly gate = new TreeGate();
  readonly #make: NodeMaker;
  /** What its files hold, for the volume's limit. */
  #bytes: number;
  #isOver = false;

  constructor(parts: OverlayParts, root: DirectoryEntry) {
    this.parts = parts;
    this.#make = new NodeMaker(this);
    this.#bytes = root.bytes;
    this.root = this.#make.directory({ parent: null, name: '' }, root);
  }

  get isChanged(): boolean {
    return this.root.changes.size > 0 || this.root.isMarked;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Another base may hold more, or less. */
  countBytes(more: number): void {
    this.#bytes += more;
  }

  /** Without waiting; undefined: it must be looked up. */
  known(directory: DirectoryNode, name: string): MountNode | null | undefined {
    return directory.children.get(name) ?? (directory.changes.has(name) ? null : undefined);
  }

  async lookUp(directory: DirectoryNode, name: string): Promise<MountNode | null> {
    const known = this.known(directory, name);
    if (known !== undefined) return known;
    const entry = await lookUp(this.parts.source, directory.base, name);
    return entry === null ? (this.known(directory, name) ?? null) : this.load(directory, name, entry);
  }

  /** What the base of a directory has under a name, unless it is known already or was changed. */
  load(directory: DirectoryNode, name: string, entry: Entry): MountNode | null {
    const known = this.known(directory, name);
    if (known !== undefined) return known;
    const node = this.#make.of({ parent: directory, name }, entry);
    directory.children.set(name, node);
    return node;
  }

  /** What a directory has, in no order: names that were changed here first. */
  async *list(directory: DirectoryNode): AsyncGenerator<readonly [string, MountNode | Entry], void, undefined> {
    const changed = new Set(directory.changes.keys());
    for (const name of changed) {
      const node = directory.children.get(name);
      if (node !== undefined) yield [name, node];
    }
    for await (const [name, entry] of entriesOf(this.parts.source, directory.base)) {
      if (changed.has(name)) continue;
      const node = this.known(directory, name);
      if (node !== null) yield [name, node ?? entry];
    }
  }

  /** @throws Refused EEXIST, ENOENT where the directory itself was removed */
  async makeFile(directory: DirectoryNode, name: string, mode: number): Promise<FileNode> {
    await this.#checkFree(directory, name);
    const content = new FileContent(this.parts.content, null);
    return this.#put(this.#make.file({ parent: directory, name }, this.#attributesNow(mode), content));
  }

  async makeDirectory(directory: DirectoryNode, name: string, mode: number): Promise<DirectoryNode> {
    await this.#checkFree(directory, name);
    return this.#put(this.#make.directory({ parent: directory, name }, emptyDirectory(this.#attributesNow(mode))));
  }

  async makeSymlink(directory: DirectoryNode, name: string, target: string): Promise<SymlinkNode> {
    await this.#checkFree(directory, name);
    return this.#put(this.#make.symlink({ parent: directory, name }, this.#attributesNow(0o777), target));
  }

  /** @param isDirectory which of both it must be. @throws Refused ENOENT, ENOTDIR, EISDIR, ENOTEMPTY */
  async remove(directory: DirectoryNode, name: string, isDirectory: boolean): Promise<void> {
    const node = await this.lookUp(directory, name);
    if (node === null) refuse('ENOENT');
    if (isDirectory && node.type !== 'directory') refuse('ENOTDIR');
    if (!isDirectory && node.type === 'directory') refuse('EISDIR');
    if (node.type === 'directory' && !(await this.#isEmpty(node))) refuse('ENOTEMPTY');
    // Somebody else was faster, or has put something into it.
    if (directory.children.get(name) !== node) refuse('ENOENT');
    if (node.type === 'directory' && hasChild(node)) refuse('ENOTEMPTY');
    this.#unlink(node, directory);
    this.#changed(directory, name, null);
  }

  /** @param mayReplace what is there. @throws Refused ENOENT, EEXIST, EISDIR, ENOTDIR, ENOTEMPTY */
  async rename(
    from: { readonly directory: DirectoryNode; readonly name: string },
    to: { readonly directory: DirectoryNode; readonly name: string },
    mayReplace: boolean,
  ): Promise<void> {
    const node = await this.lookUp(from.directory, from.name);
    const target = await this.lookUp(to.directory, to.name);
    if (node === null) refuse('ENOENT');
    if (target !== null && !mayReplace) refuse('EEXIST');
    if (node === target) return;
    if (target !== null) await this.#checkReplaceable(node, target);
    if (from.directory.children.get(from.name) !== node || isGone(to.directory)) refuse('ENOENT');
    if ((to.directory.children.get(to.name) ?? null) !== target) refuse('EAGAIN');
    if (target !== null) this.#unlink(target, to.directory);
    from.directory.children.delete(from.name);
    this.#changed(from.directory, from.name, null);
    node.parent = to.directory;
    node.name = to.name;
    node.ctimeMs = this.parts.clock.now();
    to.directory.children.set(to.name, node);
    this.#changed(to.directory, to.name, node);
  }

  setAttributes(node: MountNode, { mode, mtime }: NewAttributes): void {
    const { attributes } = node;
    node.attributes = {
      mode: mode ?? attributes.mode,
      mtimeSeconds: mtime?.seconds ?? attributes.mtimeSeconds,
      mtimeNanos: mtime?.nanos ?? attributes.mtimeNanos,
    };
    this.touched(node);
  }

  /** Bytes or attributes of it were changed. */
  touched(node: MountNode): void {
    node.version += 1;
    node.ctimeMs = this.parts.clock.now();
    if (node.type === 'directory') node.isMarked = true;
    if (node.parent !== null) this.#markUp(node.parent, node.name, node);
  }

  async cut(file: FileNode, size: number): Promise<void> {
    await file.content.truncate(size);
    this.wrote(file);
  }

  /** Its bytes were changed: what the volume holds, too. */
  wrote(file: FileNode): void {
    this.count(file);
    file.attributes = { ...file.attributes, ...this.#timeNow() };
    this.touched(file);
  }

  /** What a file holds now; what has no name is not counted. */
  count(file: FileNode): void {
    if (file.parent === null) return;
    const { bytes } = file.content;
    this.#bytes += bytes - file.countedBytes;
    file.countedBytes = bytes;
  }

  forget(node: MountNode, lookups: number): void {
    node.lookups = Math.max(0, node.lookups - lookups);
    this.drop(node);
  }

  /** Where nobody needs it any more. */
  drop(node: MountNode): void {
    if (node.lookups > 0 || (node === this.root && !this.#isOver)) return;
    if (node.type === 'directory' && node.children.size > 0) return;
    const { parent, name } = node;
    if (parent?.changes.get(name) === node) return;
    this.parts.table.remove(node);
    if (node.type === 'file') node.content.discard();
    if (parent?.children.get(name) !== node) return;
    parent.children.delete(name);
    this.drop(parent);
  }

  /** It has no name any more; who has it open keeps it. */
  detach(node: MountNode): void {
    node.parent?.children.delete(node.name);
    node.parent = null;
    if (node.type === 'directory') for (const child of [...node.children.values()]) this.detach(child);
    this.drop(node);
  }

  /** It is mounted no more: nothing is in it, and its root goes, too. */
  end(): void {
    this.#isOver = true;
    this.root.changes.clear();
    for (const child of [...this.root.children.values()]) this.detach(child);
    this.drop(this.root);
  }

  #unlink(node: MountNode, directory: DirectoryNode): void {
    if (node.type === 'file') this.#bytes -= node.countedBytes;
    directory.children.delete(node.name);
    node.parent = null;
    node.ctimeMs = this.parts.clock.now();
    this.drop(node);
  }

  async #checkFree(directory: DirectoryNode, name: string): Promise<void> {
    if ((await this.lookUp(directory, name)) !== null) refuse('EEXIST');
    if (isGone(directory)) refuse('ENOENT');
    if (directory.children.has(name)) refuse('EEXIST');
  }

  async #checkReplaceable(node: MountNode, target: MountNode): Promise<void> {
    if (node.type === 'directory' && target.type !== 'directory') refuse('ENOTDIR');
    if (node.type !== 'directory' && target.type === 'directory') refuse('EISDIR');
    if (target.type !== 'directory') return;
    if (!(await this.#isEmpty(target)) || hasChild(target)) refuse('ENOTEMPTY');
  }

  async #isEmpty(directory: DirectoryNode): Promise<boolean> {
    if (hasChild(directory)) return false;
    for await (const _ of this.list(directory)) return false;
    return true;
  }

  #put<N extends MountNode>(node: N): N {
    const directory = node.parent as DirectoryNode;
    directory.children.set(node.name, node);
    this.#changed(directory, node.name, node);
    return node;
  }

  /** Something else has that name now: a change of the directory itself, too. */
  #changed(directory: DirectoryNode, name: string, node: MountNode | null): void {
    this.#markUp(directory, name, node);
    directory.attributes = { ...directory.attributes, ...this.#timeNow() };
    this.touched(directory);
  }

  /** I1. */
  #markUp(directory: DirectoryNode, name: string, node: MountNode | null): void {
    directory.changes.set(name, node);
    for (let at = directory; at.parent !== null && at.parent.changes.get(at.name) !== at; at = at.parent) {
      at.parent.changes.set(at.name, at);
    }
  }

  #attributesNow(mode: number): Attributes {
    return { mode: mode & 0o7777, ...this.#timeNow() };
  }

  timeNow(): { readonly seconds: number; readonly nanos: number } {
    const { mtimeSeconds, mtimeNanos } = this.#timeNow();
    return { seconds: mtimeSeconds, nanos: mtimeNanos };
  }

  #timeNow(): { readonly mtimeSeconds: number; readonly mtimeNanos: number } {
    const now = this.parts.clock.now();
    const mtimeSeconds = Math.floor(now / 1_000);
    return { mtimeSeconds, mtimeNanos: Math.floor((now - mtimeSeconds * 1_000) * 1_000_000) };
  }
}
