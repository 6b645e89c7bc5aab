import type { GuardedContainer } from '../../common/ports/watchdog.js';
import { areCgroupsEmpty, killCgroups, removeCgroups } from './cgroup-tree.js';
import { isProcessGroupGone, killProcessGroup, processGroup } from './process-group.js';
import { removeFolder } from './remove-folder.js';

/** A container that is to die. */
export interface KilledContainer {
  /** SIGKILL of all that is in it. Not instant: see `isGone`. */
  kill(): void;
  isGone(): boolean;
  /** Once it is gone. */
  removeCgroups(): void;
}

/** What a watchdog asks of its host. The simulation has its own. */
export interface Kernel {
  container(guarded: GuardedContainer): KilledContainer;
  removeCgroups(cgroups: readonly string[]): void;
  /** With all that is in it. Rejects when something could not be removed. */
  removeFolder(path: string): Promise<void>;
}

/** The kernel of this host. */
export const hostKernel: Kernel = {
  container: ({ pid, cgroups }) => {
    const group = processGroup(pid);
    return {
      kill: () => {
        killCgroups(cgroups);
        killProcessGroup(group);
      },
      isGone: () => areCgroupsEmpty(cgroups) && isProcessGroupGone(group),
      removeCgroups: () => void removeCgroups(cgroups),
    };
  },
  removeCgroups: (cgroups) => void removeCgroups(cgroups),
  removeFolder,
};
