import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readCgroupFile, tryWrite, writeCgroupFile } from './cgroup-tree.js';
import type { YieldingGroup } from './cgroups.js';

const usPerMs = 1_000;
const idleFile = 'cpu.idle';

/** How a tree of cgroups weighs groups against each other. */
export interface Weight {
  readonly file: 'cpu.shares' | 'cpu.weight';
  readonly value: number;
}

/** A kernel before 5.15 can only weigh it: undefined. */
export function giveWayOf(folder: string, weight: Weight): YieldingGroup['giveWay'] | undefined {
  if (!existsSync(join(folder, idleFile))) return undefined;
  return (wholly) => {
    if (wholly) tryWrite(join(folder, idleFile), 1);
    else weigh(folder, weight);
  };
}

/** @throws Error of the file system */
export function weigh(folder: string, { file, value }: Weight): void {
  tryWrite(join(folder, idleFile), 0);
  try {
    writeCgroupFile(join(folder, file), value);
  } catch (error) {
    // Another worker has it give way at this moment, and weighs it after that: while it does, the kernel takes no weight.
    if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
  }
}

/** Of the group and all below it; trees of version 2 count it whether or not they have the controller. */
export function usedMsOf(folder: string): YieldingGroup['usedMs'] {
  return () => Number(/^usage_usec (\d+)$/m.exec(readCgroupFile(join(folder, 'cpu.stat')) ?? '')?.[1] ?? 0) / usPerMs;
}
