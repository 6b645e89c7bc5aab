import { readdirSync, readFileSync } from 'node:fs';

/** Those of this test's clusters: they have this process above them. */
export function mountProcesses(): number[] {
  const pids = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return pids.filter((pid) => commandOf(pid).includes('mount-main.js') && hasAbove(pid, process.pid));
}

function hasAbove(pid: number, wanted: number): boolean {
  for (let at = pid; at > 1; at = parentOf(at)) if (at === wanted) return true;
  return false;
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)/m.exec(readText(`/proc/${pid}/status`))?.[1] ?? 0);
}

function commandOf(pid: number): string {
  return readText(`/proc/${pid}/cmdline`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // It has ended.
    return '';
  }
}
