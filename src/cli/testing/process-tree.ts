import { readdirSync, readFileSync } from 'node:fs';
import { systemClock } from '../../adapters/system/clock.js';

/** A process that is not a child of this one; the start time tells it from a later one with the same pid. */
export interface ProcessMark {
  readonly pid: number;
  readonly startTime: string;
}

const lookEveryMs = 20;

/** All that `pid` started and that runs now; nothing on a system without /proc. */
export function descendantsOf(pid: number): ProcessMark[] {
  const all = readdirOf('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => statOf(Number(name)) ?? []);
  const found: ProcessMark[] = [];
  const parents = [pid];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const child of all) {
      if (child.parent !== parent) continue;
      found.push({ pid: child.pid, startTime: child.startTime });
      parents.push(child.pid);
    }
  }
  return found;
}

/** Waits for their own end, and kills what still runs after `withinMs`: those are returned. */
export async function awaitEnd(marks: readonly ProcessMark[], withinMs: number): Promise<ProcessMark[]> {
  const deadline = systemClock.monotonic() + withinMs;
  let left = marks.filter(isRunning);
  while (left.length > 0 && systemClock.monotonic() < deadline) {
    await systemClock.sleep(lookEveryMs);
    left = left.filter(isRunning);
  }
  for (const { pid } of left) killIfThere(pid);
  return left;
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended since it was looked at.
  }
}

function isRunning(mark: ProcessMark): boolean {
  return statOf(mark.pid)?.startTime === mark.startTime;
}

interface Stat extends ProcessMark {
  readonly parent: number;
}

/** Null for a process that is gone, or dead and only not yet waited for. */
function statOf(pid: number): Stat | null {
  try {
    // The name in parentheses may hold anything, so fields count from the last one of them: state, ppid, …, start time (22nd of all).
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    const [state, parent] = fields;
    return state === 'Z' || state === 'X' ? null : { pid, parent: Number(parent), startTime: fields[19] ?? '' };
  } catch {
    return null; // it ended since it was listed
  }
}

function readdirOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // not Linux
  }
}
