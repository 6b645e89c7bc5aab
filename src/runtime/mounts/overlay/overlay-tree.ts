import type { Clock } from '../../../common/clock.js';
import { entriesOf, lookUp, type NodeSource } from '../../../common/volumes/directory.js';
import type { Attributes, DirectoryEntry, Entry } from '../../../common/volumes/entry.js';
import { emptyDirectory } from '../../../common/volumes/tree.js';
import type { NameCount } from '../changed-names.js';
import type { ContentParts } from '../content/content-parts.js';
import { FileContent } from '../content/file-content.js';
import { refuse } from '../refused.js';
import { TreeGate } from '../tree-gate.js';
import { NodeMaker } from './node-maker.js';
import { timeOf } from './node-times.js';
import { checkReplaceable, isEmpty } from './overlay-checks.js';
import {
  type DirectoryNode,
  type FileNode,
  hasChild,
  isGone,
  type MountNode,
  type NodeTable,
  type SymlinkNode,
} from './overlay-node.js';
import { Unwritten } from './unwritten.js';

export interface OverlayParts {
  readonly source: NodeSource;
  readonly content: ContentParts;
  readonly table: NodeTable;
  readonly clock: Pick<Clock, 'now'>;
  /** That may be changed in it, until a commit: they are in memory. */
  readonly maxNames: number;
}

/** What becomes of attributes; what is left out stays. */
export interface NewAttributes {
  readonly mode?: number;
  readonly mtime?: { readonly seconds: number; readonly nanos: number } | 'now';
}

/**
 * A committed tree with changes on top of it, in memory: nodes are made when they are asked for, and go when the kernel has
 * forgotten them, unless they were changed.
 *
 * I1. Every name that differs from a directory's base is in its `changes`, and so are all directories above it in theirs.
 * I2. Each function that changes the tree does so in one step, after whatever it had to wait for.
 */
export class OverlayTree implements NameCount {
  readonly root: DirectoryNode;
  readonly parts: OverlayParts;
  readonly gate = new TreeGate();
  readonly unwritten = new Unwritten();
  readonly #make: NodeMaker;
  /** What its files hold, for the volume's limit. */
  #bytes: number;
  /** Names that are changed in it. */
  #names = 0;
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

  /** Of changed names, which are in memory until a commit. */
  add(names: number): void {
    this.#names += names;
    this.parts.table.add(names);
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
    if (this.parts.table.isFull) refuse('ENFILE');
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

  /** What others have made, as a change of this tree; nothing has that name. */
  adopt(directory: DirectoryNode, name: string, entry: Entry): MountNode {
    return this.#put(this.#make.of({ parent: directory, name }, entry));
  }

  /** @param isDirectory which of both it must be. @throws Refused ENOENT, ENOTDIR, EISDIR, ENOTEMPTY */
  async remove(directory: DirectoryNode, name: string, isDirectory: boolean): Promise<void> {
    const node = await this.lookUp(directory, name);
    if (node === null) refuse('ENOENT');
    // One that is changed already takes no more memory when it goes.
    if (!directory.changes.has(name)) this.#checkRoom(2);
    if (isDirectory && node.type !== 'directory') refuse('ENOTDIR');
    if (!isDirectory && node.type === 'directory') refuse('EISDIR');
    if (node.type === 'directory' && !(await isEmpty(node))) refuse('ENOTEMPTY');
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
    this.#checkRoom(1);
    if (target !== null && !mayReplace) refuse('EEXIST');
    if (node === target) return;
    if (target !== null) await checkReplaceable(node, target);
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
    const given = typeof mtime === 'object' ? { mtimeSeconds: mtime.seconds, mtimeNanos: mtime.nanos } : {};
    const time = mtime === 'now' ? timeOf(this.parts.clock.now()) : given;
    node.attributes = { ...node.attributes, ...time, ...(mode === undefined ? {} : { mode }) };
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
    if (size === 0) this.unwritten.forget(file);
    this.wrote(file);
  }

  /** Its bytes were changed: what the volume holds, too. @param isNow false: whoever brings them has another time for it */
  wrote(file: FileNode, isNow = true): void {
    this.count(file);
    if (isNow) file.attributes = { ...file.attributes, ...timeOf(this.parts.clock.now()) };
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
    if (node.type === 'directory') node.changes.clear();
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

  /** Removals may go on for as long again, as it is they that make room. */
  #checkRoom(share: 1 | 2): void {
    if (this.#names >= this.parts.maxNames * share || (share === 1 && this.parts.table.isFull)) refuse('ENOSPC');
  }

  async #checkFree(directory: DirectoryNode, name: string): Promise<void> {
    this.#checkRoom(1);
    if ((await this.lookUp(directory, name)) !== null) refuse('EEXIST');
    if (isGone(directory)) refuse('ENOENT');
    if (directory.children.has(name)) refuse('EEXIST');
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
    directory.attributes = { ...directory.attributes, ...timeOf(this.parts.clock.now()) };
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
    return { mode: mode & 0o7777, ...timeOf(this.parts.clock.now()) };
  }
}
