import { rm, stat } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import type { IsolatedRoot, Scratch } from '../../common/ports/sandbox.js';
import { type LauncherStep, runLauncher } from './launcher.js';

const bytesPerBlock = 512;
/** Whoever calls into a sandbox that stands still waits; one that is silent for long is given up (runtime/sandbox/guest-pulse). */
const longestStillMs = 45_000;

/** The process that has a scratch mounted. */
export interface ScratchUser {
  /** Runs `work` while nothing of it runs and all that it wrote is in the file. */
  still<T>(work: () => Promise<T>): Promise<T>;
}

export interface DiskScratchParts {
  readonly id: string;
  readonly root: IsolatedRoot;
  /** Where it is, from its first start on. */
  readonly file: string;
  /** What it starts as a copy of. */
  readonly source: string;
  /** Of the host's user that its files belong to. */
  readonly uid: number;
  readonly launcher: string;
  readonly onRemoved?: (() => void) | undefined;
}

/** A sparse file with an ext4 file system, mounted by the launcher in the namespace of the process that uses it. */
export class DiskScratch implements Scratch {
  readonly id: string;
  readonly root: IsolatedRoot;
  readonly file: string;
  readonly uid: number;
  readonly #parts: DiskScratchParts;
  #user: ScratchUser | null = null;
  #isRemoved = false;

  constructor(parts: DiskScratchParts) {
    this.id = parts.id;
    this.root = parts.root;
    this.file = parts.file;
    this.uid = parts.uid;
    this.#parts = parts;
  }

  /** Makes the file, where it is not there yet. */
  get copying(): LauncherStep {
    return ['copy', this.#parts.source, this.file];
  }

  get isUsed(): boolean {
    return this.#user !== null;
  }

  /** Null: nobody any more. */
  usedBy(user: ScratchUser | null): void {
    this.#user = user;
  }

  async usedBytes(): Promise<number> {
    const stats = await stat(this.file).catch(() => null); // not started yet
    return (stats?.blocks ?? 0) * bytesPerBlock;
  }

  async save(path: string): Promise<void> {
    const { launcher } = this.#parts;
    if ((await stat(path).catch(() => null)) !== null)
      throw new HoldfastError('AlreadyExists', `scratch ${this.id} cannot be saved to ${path}: it is there already`);
    const copy: LauncherStep = ['copy', this.file, path];
    try {
      if (this.#user === null) await runLauncher(launcher, [this.copying, ['unused', this.file], copy]);
      else await this.#user.still(() => runLauncher(launcher, [copy], longestStillMs));
    } catch (e) {
      await rm(`${path}.partial`, { force: true });
      throw e;
    }
  }

  async remove(): Promise<void> {
    await rm(this.file, { force: true });
    await rm(`${this.file}.partial`, { force: true });
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#parts.onRemoved?.();
  }
}
