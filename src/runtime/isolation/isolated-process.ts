import { statfs } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../common/clock.js';
import type { ContainerExit } from '../../common/ports/container.js';
import type { FilesTaken, IsolatedProcess, IsolationLimits } from '../../common/ports/sandbox.js';
import type { Cgroup } from '../process/cgroups.js';
import type { ConfinedProcess } from '../process/confined-process.js';
import { runLauncher } from './launcher.js';
import type { DiskScratch } from './scratch.js';

/** Those that ext4 keeps for itself, and its `lost+found`. */
const emptyDiskInodes = 11;

export interface BubblewrapProcessParts {
  readonly confined: ConfinedProcess;
  readonly socket: Duplex;
  readonly cgroup: Cgroup;
  readonly scratch: DiskScratch;
  readonly launcher: string;
  readonly clock: Clock;
  /** Where the process sees its disk. */
  readonly diskPath: string;
  /** The watchdog has nothing to guard any more. */
  readonly onGone: () => Promise<void>;
}

/** A program in bubblewrap: the worker's child is bubblewrap, the program and what it starts are in the same cgroup. */
export class BubblewrapProcess implements IsolatedProcess {
  readonly id: string;
  readonly pid: number;
  readonly socket: Duplex;
  readonly exited: Promise<ContainerExit>;
  readonly #parts: BubblewrapProcessParts;
  readonly #gone: Promise<void>;
  /** Two that need it to stand still come one after the other. */
  #standing: Promise<unknown> = Promise.resolve();

  constructor(parts: BubblewrapProcessParts) {
    const { confined, scratch } = parts;
    this.id = confined.id;
    this.pid = confined.pid;
    this.socket = parts.socket;
    this.exited = confined.exited;
    this.#parts = parts;
    scratch.usedBy({ still: (work) => this.#still(work) });
    this.#gone = this.#whenGone();
  }

  /** For the watchdog. */
  get cgroups(): readonly string[] {
    return this.#parts.cgroup.folders;
  }

  get lastWords(): string {
    return this.#parts.confined.lastWords;
  }

  onOutput(listener: Parameters<IsolatedProcess['onOutput']>[0]): void {
    this.#parts.confined.onOutput(listener);
  }

  limit(limits: IsolationLimits): void {
    this.#parts.confined.limit(limits);
  }

  memoryBytes(): number {
    return this.#parts.cgroup.memoryBytes();
  }

  /** As its file system counts them: nothing is looked through, however many there are. */
  async files(): Promise<FilesTaken | null> {
    const { diskPath } = this.#parts;
    const found = await statfs(`/proc/${this.pid}/root${diskPath}`).catch(() => null); // its process has ended
    if (found === null) return null;
    const { files, ffree, blocks, bfree, bsize } = found;
    return { count: Math.max(0, files - ffree - emptyDiskInodes), bytes: (blocks - bfree) * bsize };
  }

  outOfMemoryKills(): number {
    return this.#parts.cgroup.oomKills();
  }

  kill(): void {
    this.#parts.confined.kill();
  }

  async remove(): Promise<void> {
    this.kill();
    await this.#gone;
  }

  async #whenGone(): Promise<void> {
    const { confined, scratch, socket, onGone } = this.#parts;
    await confined.removed();
    socket.destroy();
    scratch.usedBy(null);
    await onGone();
  }

  #still<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#standing.then(() => this.#stillNow(work));
    this.#standing = result.catch(() => undefined); // told to the one who asked
    return result;
  }

  async #stillNow<T>(work: () => Promise<T>): Promise<T> {
    const { cgroup, clock, launcher, diskPath } = this.#parts;
    // What is held back would come to its halt late.
    cgroup.forks?.letGo();
    await cgroup.freeze(clock);
    try {
      await runLauncher(launcher, [['sync', String(this.pid), diskPath]]);
      return await work();
    } finally {
      cgroup.thaw();
    }
  }
}
