import { mkdirSync, rmdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { groupsBelow, readCgroupFile } from './cgroup-tree.js';

/** How a tree limits the processors of a group below a container's. */
export interface CpuCap {
  /** Before any group below the container's has a limit. */
  prepare(folder: string): void;
  /** @param cores null: as many as the container has */
  set(folder: string, cores: number | null): void;
}

/** Processes of a container that can be held back without those that serve it (ADR 101). */
export interface Forks {
  /** How many it has now. */
  count(): number;
  /** How many more it wanted, since the container was made. */
  refused(): number;
  readonly isHeldBack: boolean;
  /**
   * All processes of now but `free`, and what they start, have `cores` between them. What `free` start has what the container has.
   *
   * @throws Error of the file system
   */
  holdBack(cores: number, free: readonly number[]): Promise<void>;
  letGo(): void;
}

/**
 * Groups below a container's, numbered. All of it begins in the first; `holdBack` lets those that shall be free go on to a new one
 * and limits all before that: two processes are moved, however many are held back and however fast they fork.
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
    mkdirSync(this.entry, { recursive: true });
  }

  count(): number {
    return Number(readCgroupFile(join(this.#pidsFolder, 'pids.current')) ?? 0);
  }

  refused(): number {
    return Number(/^max (\d+)$/m.exec(readCgroupFile(join(this.#pidsFolder, 'pids.events')) ?? '')?.[1] ?? 0);
  }

  async holdBack(cores: number, free: readonly number[]): Promise<void> {
    this.isHeldBack = true;
    this.#last += 1;
    const next = join(this.#folder, String(this.#last));
    await mkdir(next);
    // Not at once in the event loop: the kernel moves a process when no other one forks.
    for (const pid of free) await writeFile(join(next, 'cgroup.procs'), String(pid));
    this.#cap.prepare(this.#folder);
    for (const group of groupsBelow(this.#folder)) {
      if (Number(basename(group)) < this.#last && !isRemoved(group)) this.#cap.set(group, cores);
    }
  }

  letGo(): void {
    if (!this.isHeldBack) return;
    this.isHeldBack = false;
    for (const group of groupsBelow(this.#folder)) if (!isRemoved(group)) this.#cap.set(group, null);
  }
}

/** EBUSY: processes are in it. */
function isRemoved(group: string): boolean {
  try {
    rmdirSync(group);
    return true;
  } catch {
    return false;
  }
}
