import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const makeTries = 20;

/**
 * Makes groups and prepares them. Those above them are shared by all workers of the host, and whoever finds one empty may remove it,
 * also between its making and its use: then all is done once more. @throws Error of the file system
 */
export function makeCgroups<T>(folders: readonly string[], prepare: () => T): T {
  const areThere = (): boolean => folders.every((folder) => existsSync(folder));
  for (let left = makeTries; ; left -= 1) {
    try {
      for (const folder of folders) mkdirSync(folder, { recursive: true });
      const prepared = prepare();
      if (left === 0 || areThere()) return prepared;
    } catch (error) {
      // What the kernel says of one that was removed meanwhile depends on where in between.
      if (left === 0 || areThere()) throw error;
    }
  }
}

/** Writes one value to one file of a cgroup. @throws Error of the file system */
export function writeCgroupFile(file: string, value: string | number): void {
  writeFileSync(file, String(value));
}

/** The file's text, or null where the kernel (or the group) does not have it. */
export function readCgroupFile(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Gone or not supported; both mean that there is nothing to read.
    return null;
  }
}

/** SIGKILL of all processes in these groups and the groups below them. Not instant: see `areCgroupsEmpty`. */
export function killCgroups(folders: readonly string[]): void {
  for (const folder of folders) {
    unlimitProcessors(folder);
    if (!tryWrite(join(folder, 'cgroup.kill'), 1)) killOneByOne(folder);
  }
}

/** True when no process is left in these groups and the groups below them. */
export function areCgroupsEmpty(folders: readonly string[]): boolean {
  return folders.every((folder) => processesBelow(folder).length === 0);
}

/** Removes the groups and those below them; false where one is still in use. */
export function removeCgroups(folders: readonly string[]): boolean {
  let removed = true;
  for (const folder of folders) {
    for (const child of groupsBelow(folder)) removed = removeCgroups([child]) && removed;
    try {
      rmdirSync(folder);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') removed = false;
    }
  }
  return removed;
}

/** Of the groups below: what is held back would take its time to die. */
function unlimitProcessors(folder: string): void {
  for (const group of groupsBelow(folder)) {
    if (!tryWrite(join(group, 'cpu.cfs_quota_us'), -1)) tryWrite(join(group, 'cpu.max'), 'max');
    unlimitProcessors(group);
  }
}

/** Without `cgroup.kill` (v1): first stop it from forking, so that one pass finds everybody. */
function killOneByOne(folder: string): void {
  tryWrite(join(folder, 'pids.max'), 0);
  for (const pid of processesBelow(folder)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // ESRCH: it ended between the read and the signal, which is what we want.
    }
  }
}

export function processesBelow(folder: string): number[] {
  const own = (readCgroupFile(join(folder, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number);
  return [...own, ...groupsBelow(folder).flatMap(processesBelow)];
}

/** One level. */
export function groupsBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(folder, entry.name));
  } catch {
    // Removed meanwhile: nothing below it.
    return [];
  }
}

/** False where the file is not there or cannot be written. */
export function tryWrite(file: string, value: string | number): boolean {
  try {
    // Without O_CREAT: a missing file must not be made.
    writeFileSync(file, String(value), { flag: 'r+' });
    return true;
  } catch {
    // Old kernel, or the group is gone; the caller has another way.
    return false;
  }
}
