import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '../../common/clock.js';
import { bootFolderName } from './boot-folder.js';
import { cannotFreeze, freezeCgroups, thawCgroups } from './cgroup-freeze.js';
import { type CpuCap, type Forks, HoldingGroups } from './cgroup-holding.js';
import { areCgroupsEmpty, killCgroups, removeCgroups, writeCgroupFile } from './cgroup-tree.js';
import { createV1Hierarchies } from './cgroup-v1.js';
import { createV2Hierarchy } from './cgroup-v2.js';

/** What a container may use. */
export interface CgroupLimits {
  readonly memoryMb: number;
  /** Cores. */
  readonly cpu: number;
  /** Processes and threads together. */
  readonly pids: number;
}

/** The cgroup of one container, in all hierarchies that the host has. */
export interface Cgroup {
  /** One per hierarchy; empty where the host has none. */
  readonly folders: readonly string[];
  /** Those that its first process joins: of these hierarchies, the same or below. */
  readonly entries: readonly string[];
  /** Null: it does not yield, or the host limits no processes or processors. */
  readonly forks: Forks | null;
  /** @throws Error of the file system where a limit cannot be set */
  limit(limits: CgroupLimits): void;
  /** Moves a process, with all its threads, into it. */
  add(pid: number): void;
  /** How many processes in it the kernel has killed for want of memory. */
  oomKills(): number;
  /** What its processes use, without file pages that the kernel can drop at once. */
  memoryBytes(): number;
  /** They stand still until `thaw`, and can be killed. Resolves when all of them do. @throws Unavailable where the host cannot */
  freeze(clock: Clock): Promise<void>;
  thaw(): void;
  /** SIGKILL of everything in it, and of what it forks meanwhile. */
  kill(): void;
  isEmpty(): boolean;
  /** False: still in use, ask again. */
  remove(): boolean;
}

/** The cgroups of one boot of a worker: `holdfast/<boot folder>` in every hierarchy, containers below it; and another, of those that yield. */
export interface Cgroups {
  readonly version: 'v1' | 'v2' | 'none';
  /** False: memory must be watched in another way. */
  readonly limitsMemory: boolean;
  readonly limitsPids: boolean;
  /** The boot's own folders, to be removed after the last container. */
  readonly parents: readonly string[];
  /** Null: the host does not count what it uses, or cannot have it give way. */
  readonly yielding: YieldingGroup | null;
  /** @param how `yielding`: all of those together get little of a processor that the worker or another container wants */
  create(name: string, how?: 'yielding'): Cgroup;
}

/** What all that yields is in, of all workers of the host. */
export interface YieldingGroup {
  /** CPU time of all processes that were ever in it. */
  usedMs(): number;
  /** True: it runs where nobody else wants to (`cpu.idle`, Linux 5.15). False: it has its share. */
  giveWay(wholly: boolean): void;
}

/** One tree of cgroups, with the controllers that are worked through it. */
export interface Hierarchy {
  /** Folder of the boot. */
  readonly parent: string;
  /** That of what yields; the same where this tree has nothing to do with processors. */
  readonly yieldingParent: string;
  /** These two of all that yields; absent: not by this tree, or not by this kernel. */
  readonly usedMs?: YieldingGroup['usedMs'] | undefined;
  readonly giveWay?: YieldingGroup['giveWay'] | undefined;
  readonly limitsMemory: boolean;
  readonly limitsPids: boolean;
  /** Absent: this tree has nothing to do with processors. */
  readonly cpuCap?: CpuCap | undefined;
  limit(folder: string, limits: CgroupLimits): void;
  oomKills(folder: string): number;
  memoryBytes(folder: string): number;
}

export interface CgroupsOptions {
  readonly bootId: string;
  /** Where the hierarchies are mounted. Default `/sys/fs/cgroup`. */
  readonly root?: string;
  /** The worker's own membership. Default `/proc/self/cgroup`. */
  readonly membership?: string;
}

/** Finds out which cgroups the host has and lets us write; makes the boot's folders. */
export function openCgroups(options: CgroupsOptions): Cgroups {
  const root = options.root ?? '/sys/fs/cgroup';
  const own = readMembership(options.membership ?? '/proc/self/cgroup');
  const folder = bootFolderName(options.bootId);
  if (existsSync(join(root, 'cgroup.controllers'))) {
    const hierarchy = createV2Hierarchy(root, own.get('') ?? '/', folder);
    return hierarchy === null ? noCgroups : cgroupsOf('v2', [hierarchy]);
  }
  const hierarchies = createV1Hierarchies(root, own, folder);
  return hierarchies.length === 0 ? noCgroups : cgroupsOf('v1', hierarchies);
}

/** For hosts without cgroups, and for those who do not want them: containers are process groups. */
export const noCgroups: Cgroups = {
  version: 'none',
  limitsMemory: false,
  limitsPids: false,
  parents: [],
  yielding: null,
  create: () => ({
    folders: [],
    entries: [],
    forks: null,
    limit: () => undefined,
    add: () => undefined,
    oomKills: () => 0,
    memoryBytes: () => 0,
    freeze: () => Promise.reject(cannotFreeze()),
    thaw: () => undefined,
    kill: () => undefined,
    isEmpty: () => true,
    remove: () => true,
  }),
};

function cgroupsOf(version: 'v1' | 'v2', hierarchies: readonly Hierarchy[]): Cgroups {
  const usedMs = hierarchies.find((hierarchy) => hierarchy.usedMs !== undefined)?.usedMs;
  const giveWay = hierarchies.find((hierarchy) => hierarchy.giveWay !== undefined)?.giveWay;
  return {
    version,
    limitsMemory: hierarchies.some((hierarchy) => hierarchy.limitsMemory),
    limitsPids: hierarchies.some((hierarchy) => hierarchy.limitsPids),
    parents: [...new Set(hierarchies.flatMap(({ parent, yieldingParent }) => [parent, yieldingParent]))],
    yielding: usedMs === undefined || giveWay === undefined ? null : { usedMs, giveWay },
    create: (name, how) => createCgroup(hierarchies, name, how === 'yielding'),
  };
}

function createCgroup(hierarchies: readonly Hierarchy[], name: string, yields: boolean): Cgroup {
  const members = hierarchies.map((hierarchy) => {
    const parent = yields ? hierarchy.yieldingParent : hierarchy.parent;
    return { hierarchy, folder: join(parent, name) };
  });
  const folders = members.map(({ folder }) => folder);
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const forks = yields ? forksOf(members) : null;
  const entries = folders.map((folder) => (forks !== null && dirname(forks.entry) === folder ? forks.entry : folder));
  return {
    folders,
    entries,
    forks,
    limit(limits) {
      for (const { hierarchy, folder } of members) hierarchy.limit(folder, limits);
    },
    add(pid) {
      for (const folder of entries) writeCgroupFile(join(folder, 'cgroup.procs'), pid);
    },
    oomKills: () => members.reduce((kills, { hierarchy, folder }) => kills + hierarchy.oomKills(folder), 0),
    memoryBytes: () => members.reduce((bytes, { hierarchy, folder }) => bytes + hierarchy.memoryBytes(folder), 0),
    freeze: (clock) => freezeCgroups(folders, clock),
    thaw: () => thawCgroups(folders),
    kill: () => killCgroups(folders),
    isEmpty: () => areCgroupsEmpty(folders),
    remove: () => removeCgroups(folders),
  };
}

function forksOf(members: readonly { readonly hierarchy: Hierarchy; readonly folder: string }[]): HoldingGroups | null {
  const counted = members.find(({ hierarchy }) => hierarchy.limitsPids);
  for (const { hierarchy, folder } of members) {
    if (counted !== undefined && hierarchy.cpuCap !== undefined)
      return new HoldingGroups(folder, hierarchy.cpuCap, counted.folder);
  }
  return null;
}

/** Controller -> path of the process's cgroup in its hierarchy; the v2 one has the name ''. */
function readMembership(file: string): Map<string, string> {
  const own = new Map<string, string>();
  if (!existsSync(file)) return own;
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(',')) own.set(controller, path);
  }
  return own;
}
