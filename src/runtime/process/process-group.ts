import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * A process group, known by its leader's pid and start time: the pid cannot be given to another process while the group
 * lives, so a leader with another start time means that the group is gone and the number is somebody else's.
 */
export interface ProcessGroup {
  readonly pid: number;
  /** Clock ticks since boot; null where the host has no /proc. */
  readonly startTime: string | null;
}

export function processGroup(pid: number): ProcessGroup {
  return { pid, startTime: readStat(pid)?.startTime ?? null };
}

/** SIGKILL to all of the group; nothing where it is gone. */
export function killProcessGroup(group: ProcessGroup): void {
  if (isReused(group)) return;
  try {
    process.kill(-group.pid, 'SIGKILL');
  } catch {
    // ESRCH: gone, which is what we want.
  }
}

/** True when nothing in the group runs any more; zombies do not run. */
export function isProcessGroupGone(group: ProcessGroup): boolean {
  if (isReused(group)) return true;
  try {
    process.kill(-group.pid, 0);
  } catch (error) {
    // EPERM is what macOS says of a group of zombies.
    return ['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
  return existsSync('/proc/self/stat') && !hasRunningMember(group.pid);
}

function isReused(group: ProcessGroup): boolean {
  const leader = readStat(group.pid);
  return leader !== null && group.startTime !== null && leader.startTime !== group.startTime;
}

function hasRunningMember(groupId: number): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    const stat = readStat(Number(name));
    return stat !== null && stat.groupId === groupId && stat.state !== 'Z' && stat.state !== 'X';
  });
}

/** Null: it ended. Of `/proc/<pid>/stat` (proc(5)): fields 3, 5 and 22, counted after the name, which may hold spaces and brackets. */
export function readStat(
  pid: number,
): { readonly state: string; readonly groupId: number; readonly startTime: string } | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    // Ended, or no /proc here.
    return null;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? 'X', groupId: Number(fields[2]), startTime: fields[19] ?? '' };
}
