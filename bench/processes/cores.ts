import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmdirSync, writeFileSync, writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/** Ends with its parent, whatever becomes of that one: nothing else would stop it. */
const spin = `
  const parent = process.ppid;
  for (;;) {
    for (let turn = 0; turn < 3e7; turn += 1);
    if (process.ppid !== parent) process.exit();
  }`;

/**
 * Keeps the cores awake: one process each, of a priority so low (SCHED_IDLE) that it runs only where a core would sleep, and
 * is off it at once when somebody else wants it. A virtual core that sleeps takes up to 100 µs to wake, once for each hop of
 * a call, and whether it sleeps depends on whatever else runs: figures of few callers would show that and nothing else.
 */
export class AwakeCores implements AsyncDisposable {
  #spinning: readonly { readonly child: ChildProcess; readonly ended: Promise<unknown> }[] = [];
  #group: string | null = null;

  /** False: taskset or chrt of util-linux is missing or refused, and cores sleep as they like. */
  keepAwake(inYieldingGroup = false): boolean {
    if (!hasCoreTools()) return false;
    this.#spinning = allCores().map((core) => {
      const args = ['--cpu-list', String(core), 'chrt', '--idle', '0', process.execPath, '-e', spin];
      const child = spawn('taskset', args, { stdio: 'ignore' });
      return { child, ended: once(child, 'exit') };
    });
    this.#group = inYieldingGroup ? makeYieldingGroup() : null;
    for (const { child } of this.#spinning) if (this.#group !== null) enter(this.#group, child);
    return true;
  }

  /** Lets them sleep while that is done; afterwards they are as they were. */
  async asleepDuring<T>(work: () => Promise<T>): Promise<T> {
    const wereAwake = this.#spinning.length > 0;
    await this.letSleep();
    try {
      return await work();
    } finally {
      if (wereAwake) this.keepAwake();
    }
  }

  /** Awake by processes that yield to other groups of the kernel's, too: where p99 is the measure. A call through several processes takes longer then. */
  async yieldingDuring<T>(work: () => Promise<T>): Promise<T> {
    if (this.#spinning.length === 0) return await work();
    return await this.asleepDuring(async () => {
      this.keepAwake(true);
      try {
        return await work();
      } finally {
        await this.letSleep();
      }
    });
  }

  /**
   * Awake in another way: whoever holds this file open asks that no core takes longer to wake than so many µs, and with 0 a core
   * that has nothing to do looks for work. What starts processes is measured so: a process that yields to all others is still
   * given a tick of 4 ms where two of them want its core, as one that starts a program and that program do.
   */
  async pollingDuring<T>(work: () => Promise<T>): Promise<T> {
    return await this.asleepDuring(async () => {
      const asking = askForNoLatency();
      try {
        return await work();
      } finally {
        if (asking !== null) closeSync(asking);
      }
    });
  }

  /** Resolves when nothing of it runs. */
  async letSleep(): Promise<void> {
    const spinning = this.#spinning;
    this.#spinning = [];
    for (const { child } of spinning) child.kill('SIGKILL');
    await Promise.all(spinning.map(({ ended }) => ended));
    if (this.#group !== null) rmdirSync(this.#group);
    this.#group = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.letSleep();
  }
}

/**
 * A process of that priority yields to those of its own group of the kernel's, and a session is one by itself (autogroups): what is
 * measured is in others, and waited for a tick of 4 ms now and then. A group can yield, too; null: not here.
 */
function makeYieldingGroup(): string | null {
  for (const root of ['/sys/fs/cgroup/cpu', '/sys/fs/cgroup']) {
    const folder = join(root, `holdfast-awake-${process.pid}`);
    try {
      mkdirSync(folder);
    } catch {
      continue; // not there, or not ours
    }
    try {
      writeFileSync(join(folder, 'cpu.idle'), '1', { flag: 'r+' });
      return folder;
    } catch {
      rmdirSync(folder); // without the controller, or a kernel before 5.15
    }
  }
  return null;
}

function enter(group: string, { pid }: ChildProcess): void {
  try {
    writeFileSync(join(group, 'cgroup.procs'), String(pid));
  } catch {
    // It has ended; whoever waits for it sees that.
  }
}

/** Null: it is not ours to ask, and cores sleep as they like. */
function askForNoLatency(): number | null {
  try {
    const asking = openSync('/dev/cpu_dma_latency', 'w');
    writeSync(asking, Buffer.alloc(Int32Array.BYTES_PER_ELEMENT));
    return asking;
  } catch {
    console.error('Without /dev/cpu_dma_latency cores may sleep while sandboxes are measured.');
    return null;
  }
}

/** Lets a process, with all its threads, run on these cores alone; a process that is gone is left alone. */
export function pin(pid: number, cores: readonly number[]): void {
  try {
    execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', cores.join(','), String(pid)], { stdio: 'ignore' });
  } catch {
    // Its end is noticed by whoever waits for it; where taskset cannot be used, `keepAwake` has said so.
  }
}

export function allCores(): number[] {
  return Array.from({ length: availableParallelism() }, (_, core) => core);
}

function hasCoreTools(): boolean {
  try {
    execFileSync('taskset', ['--cpu-list', '0', 'chrt', '--idle', '0', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
