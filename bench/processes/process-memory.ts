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

/** What the kernel of this machine takes for processes, mounts and files that are open; caches of files left out. */
export function kernelBytes(): number {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const fields = ['SUnreclaim', 'KernelStack', 'PageTables', 'Percpu'];
  return (
    fields.reduce((sum, field) => sum + Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0), 0) *
    1_024
  );
}
