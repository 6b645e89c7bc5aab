import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../common/clock.js';
import { HoldfastError } from '../../../common/errors.js';
import { removeFolder } from '../../process/remove-folder.js';
import { outdatedName } from '../fuse/replies.js';
import { type FuseMount, mountFuse } from '../fuse-mount.js';
import type { FileTree } from './file-tree.js';
import type { TreeAsk, TreeSource } from './tree-ask.js';
import { TreeFiles } from './tree-files.js';
import { type MountedTree, TreeTable } from './tree-table.js';

/** What a tree has of this host. */
export interface TreePlace {
  /** Unique on this host. */
  readonly id: string;
  readonly folder: string;
  readonly maxLocalBytes: number;
}

export interface TreeMountsParts {
  readonly clock: Clock;
  readonly launcher: string;
  /** Of this process alone; removed with it by whoever made it. */
  readonly folder: string;
  /** @throws what the worker is told: a mount that cannot be */
  readonly openTree: (source: TreeSource, place: TreePlace) => Promise<FileTree>;
  readonly log: (line: string) => void;
}

const rootId = 1;

/**
 * Mounts of what others change, too, in a file system of their own: the kernel must keep nothing of it, and a file system that keeps
 * what is written, as that of volumes does, believes no size but its own.
 *
 * I1. This process never opens, stats or lists anything below `files`: the kernel would ask it, and it would wait for itself.
 */
export class TreeMounts {
  readonly #parts: TreeMountsParts;
  readonly #table = new TreeTable();
  /** Also those that are being opened. */
  readonly #folders = new Map<string, Promise<string>>();
  #fuse: Promise<FuseMount> | null = null;
  #end: (() => void) | null = null;
  /** Resolves when it is mounted no more, also by others; never where it never was. */
  readonly over = new Promise<void>((resolve) => {
    this.#end = resolve;
  });

  constructor(parts: TreeMountsParts) {
    this.#parts = parts;
  }

  has(name: string): boolean {
    return this.#folders.has(name);
  }

  /** The folder where it is seen. @throws AlreadyExists, VolumeUnavailable, Unavailable */
  async attach(ask: TreeAsk): Promise<string> {
    const { name, uid, isReadOnly, maxLocalBytes } = ask;
    if (!/^[\w-]{1,64}$/.test(name) || this.has(name))
      throw new HoldfastError('AlreadyExists', `${JSON.stringify(name)} cannot be the name of another mount here`);
    const folder = mkdtemp(join(this.#parts.folder, 'local', `${name}-`));
    this.#folders.set(name, folder);
    try {
      const fuse = await this.#mounted();
      const tree = await this.#parts.openTree(ask.source, { id: name, folder: await folder, maxLocalBytes });
      this.#table.add({ name, tree, uid, isReadOnly });
      await fuse.device.notify(outdatedName(rootId, name));
      return join(this.files, name);
    } catch (error) {
      this.#folders.delete(name);
      await folder.then(removeFolder, () => undefined); // it could not be made
      throw error;
    }
  }

  get files(): string {
    return join(this.#parts.folder, 'shared');
  }

  async detach(name: string): Promise<void> {
    const folder = this.#folders.get(name);
    this.#folders.delete(name);
    const mounted: MountedTree | null = this.#table.remove(name);
    const fuse = await this.#fuse;
    await fuse?.device.notify(outdatedName(rootId, name));
    await mounted?.tree.close();
    await folder?.then(removeFolder, () => undefined); // it could not be made
  }

  async stop(): Promise<void> {
    for (const name of [...this.#folders.keys()]) await this.detach(name);
    const fuse = await this.#fuse?.catch(() => null); // told to whoever asked for it
    await fuse?.unmount();
  }

  #mounted(): Promise<FuseMount> {
    this.#fuse ??= this.#mount().catch((error: unknown) => {
      this.#fuse = null;
      throw error;
    });
    return this.#fuse;
  }

  async #mount(): Promise<FuseMount> {
    const { clock, launcher, log } = this.#parts;
    const files = new TreeFiles(this.#table, () => clock.now());
    const fuse = await mountFuse({
      ...{ launcher, clock },
      folder: this.files,
      handler: (request) => files.answer(request),
      onFailure: (error) => log(`mounts: ${error instanceof Error ? error.message : String(error)}`),
    });
    void fuse.over.then(() => this.#end?.());
    return fuse;
  }
}
