import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Channel } from '../../common/ports/channel.js';
import type { ContainerExit, ContainerLimits, ContainerProcess } from '../../common/ports/container.js';
import type { Cgroup } from './cgroups.js';
import { watchMemory } from './memory-watch.js';
import { readLines } from './output-lines.js';
import { isProcessGroupGone, killProcessGroup, type ProcessGroup, processGroup } from './process-group.js';

export interface ContainerProcessParts {
  readonly id: string;
  readonly child: ChildProcess & { readonly pid: number };
  readonly channel: Channel;
  readonly cgroup: Cgroup;
  readonly limitsMemory: boolean;
  readonly clock: Clock;
}

type OutputListener = Parameters<ContainerProcess['onOutput']>[0];

/** Processes and threads of one container; Node alone has about a dozen. */
const maxPids = 4_096;
/** For the last lines of a dead process; a child of its that kept the pipe open must not delay the news. */
const lastOutputMs = 1_000;
const keptErrorLines = 20;
const longestPollMs = 100;
/** What V8 prints before it aborts. */
const heapIsFull = 'heap out of memory';

/** One container as its worker sees it: a process group in a cgroup. */
export class ChildContainer implements ContainerProcess {
  readonly id: string;
  readonly pid: number;
  readonly channel: Channel;
  readonly exited: Promise<ContainerExit>;
  readonly #parts: ContainerProcessParts;
  readonly #group: ProcessGroup;
  readonly #listeners: OutputListener[] = [];
  readonly #errorLines: string[] = [];
  #stopWatching: (() => void) | null = null;
  #isOverMemory = false;
  /** Seen as it came: the native stack that follows is longer than what is kept. */
  #saidHeapIsFull = false;
  #wasKilled = false;

  constructor(parts: ContainerProcessParts) {
    const { child } = parts;
    this.id = parts.id;
    this.pid = child.pid;
    this.channel = parts.channel;
    this.#parts = parts;
    this.#group = processGroup(child.pid);
    readLines(child.stdout as Readable, (text) => this.#onLine('stdout', text));
    readLines(child.stderr as Readable, (text) => this.#onLine('stderr', text));
    this.exited = this.#whenExited();
  }

  /** The last lines of stderr, for the error of a container that does not come up. */
  get lastWords(): string {
    return this.#errorLines.join('\n');
  }

  /** @throws OutOfMemory where it takes more than that already, Unavailable */
  limit({ memoryMb, cpu }: ContainerLimits): void {
    const { cgroup, limitsMemory, clock } = this.#parts;
    try {
      cgroup.limit({ memoryMb, cpu, pids: maxPids });
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

  /** True when nothing of it is left and its cgroups are removed. */
  isRemoved(): boolean {
    return isProcessGroupGone(this.#group) && this.#parts.cgroup.remove();
  }

  /** Resolves when no process of it runs any more: a successor may start then. */
  async #whenExited(): Promise<ContainerExit> {
    const { child, cgroup, clock } = this.#parts;
    const closed = once(child, 'close');
    const [exitCode, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
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

  #ranOutOfMemory(signal: NodeJS.Signals | null): boolean {
    if (this.#isOverMemory) return true;
    if (signal === 'SIGABRT') return this.#saidHeapIsFull;
    // The counter may be about a child of the user's code that died long before we killed the container.
    return signal === 'SIGKILL' && !this.#wasKilled && this.#parts.cgroup.oomKilled();
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

/** EBUSY is what v1 says of a memory limit below what the process has already. */
function limitRefused(id: string, memoryMb: number, error: unknown): HoldfastError {
  const isTooLittle = (error as NodeJS.ErrnoException).code === 'EBUSY';
  const [code, why] = isTooLittle
    ? (['OutOfMemory', `an idle container takes more than memoryMb of ${memoryMb}; raise it`] as const)
    : (['Unavailable', `the kernel refused its limits: ${String(error)}`] as const);
  return new HoldfastError(code, `container ${id} cannot be limited: ${why}`, { details: { memoryMb }, cause: error });
}
