import type { BootId } from '../common/ids.js';
import type { WorkerHeartbeat } from '../wire/gen/holdfast/v1/bus.js';
import type { ContainerPools } from './hosting/container-pools.js';
import type { RecentFiles } from './recent-files.js';
import type { WorkerConfig, WorkerDeps } from './worker-options.js';

/** It is said every second. */
const longestLack = 512;

/** What a boot tells of itself: what it was told to be, and what is so now. */
export function describeWorker(
  config: WorkerConfig,
  now: Pick<WorkerHeartbeat, 'state' | 'instances' | 'leaseAgeMs' | 'sandboxIsolation'> & {
    readonly bootId: BootId;
    readonly pools: ContainerPools;
    readonly host: ReturnType<WorkerDeps['hostResources']>;
    readonly recentFiles: RecentFiles;
  },
): WorkerHeartbeat {
  const { workerId, address, maxContainers, maxSandboxes, sandboxLack, offer, isolation } = config;
  const { pools, host, recentFiles, ...same } = now;
  return {
    ...same,
    workerId,
    address,
    containers: pools.classes.containers,
    maxContainers,
    sandboxes: pools.sandboxes?.containers ?? 0,
    maxSandboxes: pools.sandboxes === null ? 0 : maxSandboxes,
    offerJson: JSON.stringify(offer),
    cpuCores: host.cpuCores,
    freeMemoryMb: host.freeMemoryMb,
    openPlaces: pools.openPlaces(host.freeMemoryMb),
    freeGpus: pools.classes.freeGpus,
    recentFiles: recentFiles.list(),
    isolation,
    sandboxLack: sandboxLack?.slice(0, longestLack) ?? '',
  };
}
