import { readFileSync } from 'node:fs';

/** Memory that is this process's own, and its share of what it has in common with others; 0 once it is gone. */
export function proportionalBytesOf(pid: number): number {
  try {
    return parseProportionalBytes(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  } catch {
    return 0; // it ended meanwhile
  }
}

/** @param rollup as in `/proc/<pid>/smaps_rollup`; a kernel thread has no `Pss` */
export function parseProportionalBytes(rollup: string): number {
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1_024;
}
