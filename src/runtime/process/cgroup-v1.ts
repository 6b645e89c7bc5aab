import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { bootsFolder, yieldingFolder } from './boot-folder.js';
import type { CpuCap } from './cgroup-holding.js';
import { makeCgroups, readCgroupFile, writeCgroupFile } from './cgroup-tree.js';
import { giveWayOf, usedMsOf, type Weight, weigh } from './cgroup-yielding.js';
import type { CgroupLimits, Hierarchy } from './cgroups.js';

const cpuPeriodUs = 100_000;
/** What /proc/self/cgroup calls it. */
const unifiedTree = '';
const bytesPerMb = 1_048_576;
/** Of 1024 that every other group and thread has. */
const yieldingShare: Weight = { file: 'cpu.shares', value: 512 };

/**
 * One hierarchy per controller (memory, cpu, pids); on a hybrid host the v2 tree as well, which has no controllers there but
 * `cgroup.kill`. Hierarchies that are not there or not ours to write are left out.
 */
export function createV1Hierarchies(root: string, own: ReadonlyMap<string, string>, boot: string): Hierarchy[] {
  const hierarchies: Hierarchy[] = [];
  for (const [mount, controller, rules] of trees) {
    const base = baseFolder(join(root, mount), own.get(controller) ?? '/');
    const parent = base === null ? null : makeParent(base, boot);
    if (base === null || parent === null) continue;
    const yields = controller === 'cpu' || controller === unifiedTree ? makeYielding(base, boot, controller) : null;
    const limited = { limitsMemory: controller === 'memory', limitsPids: controller === 'pids' };
    const capped = controller === 'cpu' ? { cpuCap } : null;
    hierarchies.push({ parent, yieldingParent: parent, ...yields, ...limited, ...capped, ...rules });
  }
  return hierarchies;
}

type Rules = Pick<Hierarchy, 'limit' | 'oomKills' | 'memoryBytes'>;

const memory: Rules = {
  limit: limitMemory,
  oomKills: (folder) =>
    Number(/^oom_kill (\d+)$/m.exec(readCgroupFile(join(folder, 'memory.oom_control')) ?? '')?.[1] ?? 0),
  memoryBytes: (folder) => {
    const used = Number(readCgroupFile(join(folder, 'memory.usage_in_bytes')) ?? 0);
    const inactive = /^total_inactive_file (\d+)$/m.exec(readCgroupFile(join(folder, 'memory.stat')) ?? '')?.[1] ?? 0;
    return Math.max(0, used - Number(inactive));
  },
};
const ignored = { oomKills: () => 0, memoryBytes: () => 0 };
const cpu: Rules = {
  limit: (folder, limits) => limitCpu(folder, limits.cpu),
  ...ignored,
};
const cpuCap: CpuCap = { prepare: () => undefined, set: limitCpu };
const pids: Rules = {
  limit: (folder, limits) => writeCgroupFile(join(folder, 'pids.max'), limits.pids),
  ...ignored,
};
const unified: Rules = { limit: () => undefined, ...ignored };

/** Mount below the root, name in /proc/self/cgroup, what is done there. */
const trees: readonly (readonly [mount: string, controller: string, rules: Rules])[] = [
  ['memory', 'memory', memory],
  ['cpu', 'cpu', cpu],
  ['pids', 'pids', pids],
  ['unified', unifiedTree, unified],
];

/** The worker's own group, so that limits of the host's hold for us; the root where a container hides that path. */
function baseFolder(mount: string, ownPath: string): string | null {
  if (!existsSync(join(mount, 'cgroup.procs'))) return null;
  return existsSync(join(mount, ownPath)) ? join(mount, ownPath) : mount;
}

function makeParent(base: string, boot: string): string | null {
  const parent = join(base, bootsFolder, boot);
  try {
    makeCgroups([parent], () => undefined);
    return parent;
  } catch {
    // EACCES or EROFS: a hierarchy that is not ours; what it would limit stays unlimited.
    return null;
  }
}

/** Beside the others, since the worker's own threads compete with whole groups. */
function makeYielding(
  base: string,
  boot: string,
  controller: string,
): Pick<Hierarchy, 'yieldingParent' | 'usedMs' | 'giveWay'> {
  const yielding = join(base, yieldingFolder);
  const yieldingParent = join(yielding, bootsFolder, boot);
  if (controller === unifiedTree) {
    makeCgroups([yieldingParent], () => undefined);
    return { yieldingParent, usedMs: usedMsOf(yielding) };
  }
  makeCgroups([yieldingParent], () => weigh(yielding, yieldingShare));
  return { yieldingParent, giveWay: giveWayOf(yielding, yieldingShare) };
}

function limitCpu(folder: string, cores: number | null): void {
  writeCgroupFile(join(folder, 'cpu.cfs_period_us'), cpuPeriodUs);
  // The kernel refuses less than 1 ms.
  const quotaUs = cores === null ? -1 : Math.max(1_000, Math.round(cores * cpuPeriodUs));
  writeCgroupFile(join(folder, 'cpu.cfs_quota_us'), quotaUs);
}

function limitMemory(folder: string, { memoryMb }: CgroupLimits): void {
  const bytes = Math.round(memoryMb * bytesPerMb);
  writeCgroupFile(join(folder, 'memory.limit_in_bytes'), bytes);
  // Memory and swap together; only kernels with swap accounting have it.
  const withSwap = join(folder, 'memory.memsw.limit_in_bytes');
  if (existsSync(withSwap)) writeCgroupFile(withSwap, bytes);
}
