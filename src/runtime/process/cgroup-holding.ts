import { mkdirSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { groupsBelow, readCgroupFile } from './cgroup-tree.js';

/** How a tree limits the processors of a group below a container's. */
export interface CpuCap {
  /** While no process is below the container's group. @throws Error of the file system */
  prepare(folder: string): void;
  /** @param cores null: as many as the container has. @throws Error of the file system */
  set(folder: string, cores: number | null): void;
}

/** Processes of a container that can be held back without those that serve it (ADR 101). */
export interface Forks {
  /** How many it has now. Null: that cannot be read. */
  count(): number | null;
  /** How many more it wanted, since the container was made. */
  refused(): number | null;
  readonly isHeldBack: boolean;
  /**
   * All processes of now but `free`, and what they start, have `cores` between them. What `free` start has what the container has.
   * Does nothing where they are held back and `free` have started nobody since.
   *
   * @throws Error of the file system
   */
  holdBack(cores: number, free: readonly number[]): Promise<void>;
  letGo(): void;
}

/**
 * Groups below a container's, numbered. All of it begins in the first; `holdBack` lets those that shall be free go on to a new one
 * and limits all before that: few processes are moved, however many are held back and however fast they fork.
 */
export class HoldingGroups implements Forks {
  readonly entry: string;
  isHeldBack = false;
  readonly #folder: string;
  readonly #cap: CpuCap;
  readonly #pidsFolder: string;
  #last = 1;

  /** @param pidsFolder the container's in the tree that limits processes */
  constructor(folder: string, cap: CpuCap, pidsFolder: string) {
    this.#folder = folder;
    this.#cap = cap;
    this.#pidsFolder = pidsFolder;
    this.entry = join(folder, '1');
    cap.prepare(folder);
    mkdirSync(this.entry, { recursive: true });
  }

  count(): number | null {
    const text = readCgroupFile(join(this.#pidsFolder, 'pids.current'));
    return text === null ? null : Number(text);
  }

  refused(): number | null {
    const found = /^max (\d+)$/m.exec(readCgroupFile(join(this.#pidsFolder, 'pids.events')) ?? '');
    return found === null ? null : Number(found[1]);
  }

  async holdBack(cores: number, free: readonly number[]): Promise<void> {
    if (this.isHeldBack && this.#isFree(free)) return;
    const wasHeldBack = this.isHeldBack;
    this.isHeldBack = true;
    try {
      await this.#goOn(free);
      await this.#removeEmpty();
      if (!this.isHeldBack) return; // let go meanwhile
      for (const group of this.#left()) this.#cap.set(group, cores);
    } catch (error) {
      this.isHeldBack &&= wasHeldBack;
      throw error;
    }
  }

  letGo(): void {
    if (!this.isHeldBack) return;
    this.isHeldBack = false;
    for (const group of this.#left()) this.#cap.set(group, null);
  }

  #isFree(free: readonly number[]): boolean {
    const newest = readCgroupFile(join(this.#folder, String(this.#last), 'cgroup.procs')) ?? '';
    return newest.split('\n').every((line) => line === '' || free.includes(Number(line)));
  }

  /** Not at once in the event loop: the kernel moves a process when nobody on the host forks. */
  async #goOn(free: readonly number[]): Promise<void> {
    const next = join(this.#folder, String(this.#last + 1));
    await mkdir(next, { recursive: true }); // there, where it was tried in vain before
    for (const pid of free) await writeFile(join(next, 'cgroup.procs'), String(pid));
    this.#last += 1;
  }

  async #removeEmpty(): Promise<void> {
    for (const group of this.#left()) await rmdir(group).catch(() => undefined); // EBUSY: processes are in it
  }

  #left(): string[] {
    return groupsBelow(this.#folder).filter((group) => Number(basename(group)) < this.#last);
  }
}
