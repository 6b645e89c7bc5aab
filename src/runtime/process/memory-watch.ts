import { readFileSync } from 'node:fs';
import type { Clock } from '../../common/clock.js';

const checkEveryMs = 500;

/**
 * Where no cgroup limits memory: looks at the process from time to time and reports it once when it is over. Coarser than the
 * kernel's limit, and blind to children of the process; without /proc it does nothing.
 */
export function watchMemory(
  pid: number,
  memoryMb: number,
  parts: { readonly clock: Clock; readonly onOver: () => void },
): () => void {
  let timer = parts.clock.after(checkEveryMs, check);
  function check(): void {
    if (residentMb(pid) > memoryMb) parts.onOver();
    else timer = parts.clock.after(checkEveryMs, check);
  }
  return () => timer.cancel();
}

function residentMb(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1_024;
  } catch {
    // Ended, or no /proc here: nothing to limit.
    return 0;
  }
}
