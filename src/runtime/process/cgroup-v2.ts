import { existsSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { bootsFolder, yieldingFolder } from './boot-folder.js';
import type { CpuCap } from './cgroup-holding.js';
import { makeCgroups, readCgroupFile, writeCgroupFile } from './cgroup-tree.js';
import { giveWayOf, usedMsOf, type Weight, weigh } from './cgroup-yielding.js';
import type { CgroupLimits, Hierarchy } from './cgroups.js';

const cpuPeriodUs = 100_000;
const bytesPerMb = 1_048_576;
const wanted = ['memory', 'cpu', 'pids'];
/** Of 100 that every other group has. */
const yieldingWeight: Weight = { file: 'cpu.weight', value: 50 };
/** The leaf that the worker moves itself into, because a group with controllers for its children holds no processes. */
const workerLeaf = 'holdfast-worker';

/** The one v2 tree, with those of memory, cpu and pids that could be had; null where it is not ours to write. */
export function createV2Hierarchy(root: string, ownPath: string, boot: string): Hierarchy | null {
  const base = baseFolder(root, ownPath);
  const all = join(base, bootsFolder);
  const parent = join(all, boot);
  // Beside the others, since the worker's own group competes with them as one.
  const yielding = join(base, yieldingFolder);
  const allYielding = join(yielding, bootsFolder);
  const yieldingParent = join(allYielding, boot);
  const below = [all, parent, yielding, allYielding, yieldingParent];
  const prepare = (): string[] => {
    const found = wanted.filter((controller) => enableFor(controller, base, below));
    if (found.includes('cpu')) weigh(yielding, yieldingWeight);
    return found;
  };
  let enabled: readonly string[];
  try {
    enabled = makeCgroups([parent, yieldingParent], prepare);
  } catch (error) {
    // EACCES or EROFS: no delegation, so no cgroups.
    if (!existsSync(parent) || !existsSync(yieldingParent)) return null;
    throw error;
  }
  return {
    parent,
    yieldingParent,
    usedMs: usedMsOf(yielding),
    giveWay: giveWayOf(yielding, yieldingWeight),
    limitsMemory: enabled.includes('memory'),
    limitsPids: enabled.includes('pids'),
    cpuCap: enabled.includes('cpu') ? cpuCap : undefined,
    limit: (folder, limits) => setLimits(folder, limits, enabled),
    oomKills: (folder) =>
      Number(/^oom_kill (\d+)$/m.exec(readCgroupFile(join(folder, 'memory.events')) ?? '')?.[1] ?? 0),
    memoryBytes: (folder) => {
      const used = Number(readCgroupFile(join(folder, 'memory.current')) ?? 0);
      const inactive = /^inactive_file (\d+)$/m.exec(readCgroupFile(join(folder, 'memory.stat')) ?? '')?.[1] ?? 0;
      return Math.max(0, used - Number(inactive));
    },
  };
}

/** Several workers of one process are opened one after the other: the second finds it in the leaf already. */
function baseFolder(root: string, ownPath: string): string {
  const own = basename(ownPath) === workerLeaf ? dirname(ownPath) : ownPath;
  return existsSync(join(root, own)) ? join(root, own) : root;
}

/** From the base down, each folder must hand the controller to its children. */
function enableFor(controller: string, base: string, below: readonly string[]): boolean {
  if (!words(join(base, 'cgroup.controllers')).includes(controller)) return false;
  try {
    handDown(base, controller);
    for (const folder of below) handDown(folder, controller);
    return true;
  } catch {
    // Others' processes share our group (a login session), or it is not delegated: this limit cannot be had here.
    return false;
  }
}

function handDown(folder: string, controller: string): void {
  const file = join(folder, 'cgroup.subtree_control');
  if (words(file).includes(controller)) return;
  try {
    writeCgroupFile(file, `+${controller}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    // Only ourselves, never the user's other processes; where those keep it busy the second try fails too.
    const leaf = join(folder, workerLeaf);
    mkdirSync(leaf, { recursive: true });
    writeCgroupFile(join(leaf, 'cgroup.procs'), process.pid);
    writeCgroupFile(file, `+${controller}`);
  }
}

function setLimits(folder: string, limits: CgroupLimits, enabled: readonly string[]): void {
  if (enabled.includes('memory')) {
    writeCgroupFile(join(folder, 'memory.max'), Math.round(limits.memoryMb * bytesPerMb));
    if (existsSync(join(folder, 'memory.swap.max'))) writeCgroupFile(join(folder, 'memory.swap.max'), 0);
    // All or nothing: a container that lost one of its processes must not limp on.
    writeCgroupFile(join(folder, 'memory.oom.group'), 1);
  }
  if (enabled.includes('cpu')) {
    limitCpu(folder, limits.cpu);
  }
  if (enabled.includes('pids')) writeCgroupFile(join(folder, 'pids.max'), limits.pids);
}

const cpuCap: CpuCap = {
  prepare: (folder) => writeCgroupFile(join(folder, 'cgroup.subtree_control'), '+cpu'),
  set: limitCpu,
};

function limitCpu(folder: string, cores: number | null): void {
  const quotaUs = cores === null ? 'max' : Math.max(1_000, Math.round(cores * cpuPeriodUs));
  writeCgroupFile(join(folder, 'cpu.max'), `${quotaUs} ${cpuPeriodUs}`);
}

function words(file: string): string[] {
  return (readCgroupFile(file) ?? '').split(/\s+/).filter(Boolean);
}
