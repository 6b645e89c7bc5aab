import { readFileSync } from 'node:fs';
import type { Contender } from '../processes/contender.js';

/** Of all processes of a target but its load generator; what they share counts once. */
export function memoryBytesOf({ processes }: Contender): number {
  let kib = 0;
  for (const [pid, role] of processes) if (role !== 'client') kib += proportionalKib(pid);
  return kib * 1_024;
}

/** 0 once it is gone. */
function proportionalKib(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // it ended meanwhile
  }
}
