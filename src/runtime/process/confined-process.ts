import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import type { Readable } from 'node:stream';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { ContainerExit, ContainerProcess } from '../../common/ports/container.js';
import type { Cgroup, CgroupLimits } from './cgroups.js';
import { watchMemory } from './memory-watch.js';
import { readLines } from './output-lines.js';
import { isProcessGroupGone, killProcessGroup, type ProcessGroup, processGroup } from './process-group.js';

export interface ConfinedProcessParts {
  readonly id: string;
  readonly child: ChildProcess & { readonly pid: number };
  readonly cgroup: Cgroup;
  readonly limitsMemory: boolean;
  readonly clock: Clock;
  /** The child stands in for the program and ends with 128 + the signal that ended that one, as shells and bubblewrap do. */
  readonly isWrapped?: boolean;
  /** False: its stdout is somebody else's to read. Default true. */
  readonly printsLines?: boolean;
}

type OutputListener = Parameters<ContainerProcess['onOutput']>[0];

/** For the last lines of a dead process; a child of its that kept the pipe open must not delay the news. */
const lastOutputMs = 1_000;
const keptErrorLines = 20;
const longestPollMs = 100;
/** What V8 prints before it aborts. */
const heapIsFull = 'heap out of memory';
const firstSignalCode = 128;
const firstRemovalMs = 1;
const longestRemovalMs = 1_000;
const removalTries = 60;

/** A child of the worker and all that it starts: a process group in a cgroup. */
export class ConfinedProcess {
  readonly id: string;
  readonly pid: number;
  readonly exited: Promise<ContainerExit>;
  readonly #parts: ConfinedProcessParts;
  readonly #group: ProcessGroup;
  readonly #listeners: OutputListener[] = [];
  readonly #errorLines: string[] = [];
  #stopWatching: (() => void) | null = null;
  #isOverMemory = false;
  /** Seen as it came: the native stack that follows is longer than what is kept. */
  #saidHeapIsFull = false;
  #wasKilled = false;

  constructor(parts: ConfinedProcessParts) {
    const { child } = parts;
    this.id = parts.id;
    this.pid = child.pid;
    this.#parts = parts;
    this.#group = processGroup(child.pid);
    if (parts.printsLines !== false) readLines(child.stdout as Readable, (text) => this.#onLine('stdout', text));
    readLines(child.stderr as Readable, (text) => this.#onLine('stderr', text));
    this.exited = this.#whenExited();
  }

  /** The last lines of stderr, for the error of a container that does not come up. */
  get lastWords(): string {
    return this.#errorLines.join('\n');
  }

  /** @throws OutOfMemory where it takes more than that already, Unavailable */
  limit(limits: CgroupLimits): void {
    const { cgroup, limitsMemory, clock } = this.#parts;
    const { memoryMb } = limits;
    try {
      cgroup.limit(limits);
    } catch (error) {
      throw limitRefused(this.id, memoryMb, error);
    }
    if (limitsMemory) return;
    this.#stopWatching = watchMemory(this.pid, memoryMb, {
      clock,
      onOver: () => {
        this.#isOverMemory = true;
        this.#killAll();
      },
    });
  }

  kill(): void {
    this.#wasKilled = true;
    this.#killAll();
  }

  onOutput(listener: OutputListener): void {
    this.#listeners.push(listener);
  }

  /** Resolves when it has ended and its cgroups are removed, or cannot be within a minute. */
  async removed(): Promise<void> {
    await this.exited;
    let waitMs = firstRemovalMs;
    for (let tries = 0; tries < removalTries && !this.#isRemoved(); tries += 1) {
      await this.#parts.clock.sleep(waitMs);
      waitMs = Math.min(waitMs * 2, longestRemovalMs);
    }
  }

  #isRemoved(): boolean {
    return isProcessGroupGone(this.#group) && this.#parts.cgroup.remove();
  }

  /** Resolves when no process of it runs any more: a successor may start then. */
  async #whenExited(): Promise<ContainerExit> {
    const { child, cgroup, clock } = this.#parts;
    const closed = once(child, 'close');
    const [exitCode, signal] = this.#endOf((await once(child, 'exit')) as [number | null, NodeJS.Signals | null]);
    this.#stopWatching?.();
    // What it has started goes with it.
    this.#killAll();
    const enough = new AbortController();
    // Rejects only with its abort.
    const late = clock.sleep(lastOutputMs, enough.signal).catch(() => undefined);
    await Promise.race([closed, late]);
    enough.abort();
    for (
      let pollMs = 1;
      !(cgroup.isEmpty() && isProcessGroupGone(this.#group));
      pollMs = Math.min(pollMs * 2, longestPollMs)
    ) {
      this.#killAll();
      await clock.sleep(pollMs);
    }
    return { exitCode, signal, outOfMemory: this.#ranOutOfMemory(signal) };
  }

  #endOf([code, signal]: [number | null, NodeJS.Signals | null]): [number | null, NodeJS.Signals | null] {
    if (this.#parts.isWrapped !== true || code === null) return [code, signal];
    const name = signalNames.get(code - firstSignalCode);
    return name === undefined ? [code, null] : [null, name];
  }

  #ranOutOfMemory(signal: NodeJS.Signals | null): boolean {
    if (this.#isOverMemory) return true;
    if (signal === 'SIGABRT') return this.#saidHeapIsFull;
    // The counter may be about a child of the user's code that died long before we killed the container.
    return signal === 'SIGKILL' && !this.#wasKilled && this.#parts.cgroup.oomKills() > 0;
  }

  #killAll(): void {
    this.#parts.cgroup.kill();
    killProcessGroup(this.#group);
  }

  #onLine(stream: 'stdout' | 'stderr', text: string): void {
    if (stream === 'stderr') {
      this.#saidHeapIsFull ||= text.includes(heapIsFull);
      this.#errorLines.push(text);
      if (this.#errorLines.length > keptErrorLines) this.#errorLines.shift();
    }
    for (const listener of this.#listeners) listener({ stream, text });
  }
}

const signalNames = new Map(
  Object.entries(constants.signals).map(([name, number]) => [number, name as NodeJS.Signals]),
);

/** EBUSY is what v1 says of a memory limit below what the process has already. */
function limitRefused(id: string, memoryMb: number, error: unknown): HoldfastError {
  const isTooLittle = (error as NodeJS.ErrnoException).code === 'EBUSY';
  const [code, why] = isTooLittle
    ? (['OutOfMemory', `an idle container takes more than memoryMb of ${memoryMb}; raise it`] as const)
    : (['Unavailable', `the kernel refused its limits: ${String(error)}`] as const);
  return new HoldfastError(code, `container ${id} cannot be limited: ${why}`, { details: { memoryMb }, cause: error });
}
