import { readFileSync, readlinkSync } from 'node:fs';
import { readStat } from './process-group.js';

/**
 * What a boot leaves on its host lies in folders whose name says which process it was: `<bootId>@<namespace>-<pid>-<start>`.
 * So whoever finds one knows whether its worker lives, without a lock that a killed worker would leave behind.
 */
export interface BootFolder {
  readonly name: string;
  readonly bootId: string;
  /** `unknown`: of another pid namespace (a container that shares the folder), which cannot be judged from here. */
  readonly owner: 'alive' | 'dead' | 'unknown';
}

/** Holds those of all boots. */
export const bootsFolder = 'holdfast';
/** Below it is such a folder too, of what yields; `doctor` looks for them by name. */
export const yieldingFolder = 'holdfast-yielding';

/** The name of this process's folder for a boot; the bare id on hosts without /proc. */
export function bootFolderName(bootId: string): string {
  const namespace = pidNamespace();
  const startTime = readStat(process.pid)?.startTime;
  return namespace === null || startTime === undefined ? bootId : `${bootId}@${namespace}-${process.pid}-${startTime}`;
}

/** Null: not the name of such a folder. */
export function parseBootFolder(name: string): BootFolder | null {
  const [, bootId, namespace, pid, startTime] = /^([\w-]+)@(\d+)-(\d+)-(\d+)$/.exec(name) ?? [];
  if (bootId === undefined) return null;
  if (namespace !== pidNamespace()) return { name, bootId, owner: 'unknown' };
  const stat = readStat(Number(pid));
  const isAlive = stat !== null && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X';
  return { name, bootId, owner: isAlive ? 'alive' : 'dead' };
}

/** Start times count from the start of the machine, so its id belongs to them. */
function pidNamespace(): string | null {
  try {
    const inode = /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '';
    const machineBoot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
    return `${inode}${Number.parseInt(machineBoot, 16)}`;
  } catch {
    // No /proc here.
    return null;
  }
}
