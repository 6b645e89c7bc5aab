import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { Transport } from '../../common/ports/channel.js';
import type { ContainerStarter } from '../../common/ports/container.js';
import type { SigningKey } from '../../common/ports/store.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { createIsolatedStarter } from '../../runtime/isolation/isolated-starter.js';
import { openOutboundSocket } from '../../runtime/isolation/outbound-socket.js';
import type { WorkerMetrics } from '../../runtime/metrics.js';
import type { OutboundProxies } from '../../runtime/outbound/outbound-proxy.js';
import { bootFolderName } from '../../runtime/process/boot-folder.js';
import { type Cgroups, openCgroups } from '../../runtime/process/cgroups.js';
import { harmlessEnv } from '../../runtime/process/container-env.js';
import { createContainerStarter } from '../../runtime/process/container-starter.js';
import { startWatchdog } from '../../runtime/process/watchdog.js';
import { Worker } from '../../runtime/worker.js';
import { entryPath } from './entries.js';
import { classBinds, createIsolation, sandboxesFolder } from './isolation.js';
import type { Services } from './services.js';
import type { WorkerPartConfig } from './worker-part.js';

const bytesPerMb = 1_048_576;

/** One boot of a worker with real processes. @throws Unavailable */
export async function startBoot(
  services: Services,
  config: WorkerPartConfig & { readonly address: string },
  shared: {
    readonly metrics: WorkerMetrics;
    readonly transport: (keys: readonly SigningKey[]) => Transport;
    readonly outbound: OutboundProxies;
  },
): Promise<Worker> {
  const cgroupsOf = new Map<BootId, Cgroups>();
  const cgroups = (bootId: BootId): Cgroups => {
    const known = cgroupsOf.get(bootId) ?? openCgroups({ bootId });
    cgroupsOf.set(bootId, known);
    return known;
  };
  return await Worker.start(
    {
      workerId: config.workerId as WorkerId,
      account: config.account,
      address: config.address,
      offer: config.offer,
      isolation: config.isolation,
      maxContainers: config.maxContainers,
      warmContainers: config.warmContainers,
      cacheFolder: bundlesFolder(config),
      containerEnv: config.containerEnv,
      leaseTimes: config.leaseTimes,
    },
    {
      store: services.store,
      bus: services.bus,
      objects: services.objects,
      clock: systemClock,
      random: systemRandom,
      metrics: shared.metrics,
      transport: shared.transport,
      hostResources: () => ({ cpuCores: availableParallelism(), freeMemoryMb: freemem() / bytesPerMb }),
      startWatchdog: (bootId, deadline) =>
        startWatchdog({
          entry: entryPath('watchdog-main'),
          bootId,
          store: services.storeConfig,
          deadline,
          leaseTtlMs: config.leaseTimes.ttlMs,
          cgroupParents: cgroups(bootId).parents,
          folders: [bootFolder(config, bootId)],
          env: watchdogEnv(),
          clock: systemClock,
        }),
      starterOf: (bootId, watchdog) =>
        starterOf({ config, bootId, cgroups: cgroups(bootId), watchdog, outbound: shared.outbound }),
    },
  );
}

/** Of class containers. */
function starterOf(boot: {
  readonly config: WorkerPartConfig;
  readonly bootId: BootId;
  readonly cgroups: Cgroups;
  readonly watchdog: Watchdog;
  readonly outbound: OutboundProxies;
}): ContainerStarter {
  const { config, bootId, cgroups, watchdog, outbound } = boot;
  const shared = { entry: entryPath('container-main'), clock: systemClock, random: systemRandom };
  if (config.isolation === 'process')
    return createContainerStarter({ ...shared, cgroups, watchdog, hostEnv: process.env, env: {} });
  const bundleFolder = bundlesFolder(config);
  const socketFolder = join(bootFolder(config, bootId), 'outbound');
  return createIsolatedStarter({
    ...shared,
    backend: createIsolation({ bootId, dataFolder: config.dataFolder, cgroups, watchdog }),
    binds: classBinds(bundleFolder),
    bundleFolder,
    openOutbound: (id) => openOutboundSocket(outbound.open('all'), { folder: socketFolder, id }),
    env: harmlessEnv(process.env),
  });
}

/** Of one boot: the disks of its sandboxes, and the sockets of their proxies. */
function bootFolder({ dataFolder }: WorkerPartConfig, bootId: BootId): string {
  return join(sandboxesFolder(dataFolder), bootFolderName(bootId));
}

function bundlesFolder({ dataFolder }: WorkerPartConfig): string {
  return join(dataFolder, 'bundles');
}

/** It needs nothing but what TLS to a store may. */
function watchdogEnv(): Record<string, string> {
  const names = ['PATH', 'HOME', 'TZ', 'NODE_EXTRA_CA_CERTS'];
  const entries = names.map((name) => [name, process.env[name]] as const);
  return Object.fromEntries(entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
