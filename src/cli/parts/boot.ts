import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import type { BootId, WorkerId } from '../../common/ids.js';
import type { Transport } from '../../common/ports/channel.js';
import type { ContainerStarter } from '../../common/ports/container.js';
import type { IsolationBackend } from '../../common/ports/sandbox.js';
import type { SigningKey } from '../../common/ports/store.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { BundleCache } from '../../runtime/hosting/bundle-cache.js';
import { defaultDebianMirror } from '../../runtime/images/debian-image.js';
import { createIsolatedStarter, nodeInImages } from '../../runtime/isolation/isolated-starter.js';
import { openOutboundSocket } from '../../runtime/isolation/outbound-socket.js';
import type { WorkerMetrics } from '../../runtime/metrics.js';
import type { OutboundProxies } from '../../runtime/outbound/outbound-proxy.js';
import { bootFolderName } from '../../runtime/process/boot-folder.js';
import { openCgroups } from '../../runtime/process/cgroups.js';
import { harmlessEnv } from '../../runtime/process/container-env.js';
import { type ContainerStarterOptions, createContainerStarter } from '../../runtime/process/container-starter.js';
import { startWatchdog } from '../../runtime/process/watchdog.js';
import type { SandboxPlatform } from '../../runtime/sandbox/sandbox-factory.js';
import { Worker } from '../../runtime/worker.js';
import { bootMounts } from './boot-mounts.js';
import { entryPath } from './entries.js';
import { classBinds, createIsolation, sandboxesFolder } from './isolation.js';
import { defaultImageCacheGb, type HostImages, hostImages, sandboxPlatform } from './sandbox-platform.js';
import type { Services } from './services.js';
import { silentLog } from './silent-log.js';
import { storeEnv } from './store-env.js';
import type { WorkerPartConfig } from './worker-part.js';

const bytesPerMb = 1_048_576;

/** One boot of a worker with real processes. @throws Unavailable */
export async function startBoot(
  services: Services,
  config: WorkerPartConfig & {
    readonly address: string;
    /** Why this host cannot isolate; null: it can. */
    readonly sandboxLack: string | null;
  },
  shared: {
    readonly metrics: WorkerMetrics;
    readonly transport: (keys: readonly SigningKey[]) => Transport;
    readonly outbound: OutboundProxies;
  },
): Promise<Worker> {
  const cgroups = once((bootId: BootId) => openCgroups({ bootId }));
  const mounts = once((bootId: BootId) => bootMounts(services, config, bootId));
  const isolationOf = (kind: IsolationBackend['kind']) =>
    once((bootId: BootId, watchdog: Watchdog) =>
      createIsolation({ bootId, dataFolder: config.dataFolder, cgroups: cgroups(bootId), watchdog, kind }),
    );
  const isolation = isolationOf('bubblewrap');
  const strong = isolationOf('gvisor');
  const images = once((bootId: BootId, watchdog: Watchdog) =>
    hostImages({
      backend: isolation(bootId, watchdog),
      objects: services.objects,
      account: config.account,
      folder: bootFolder(config, bootId),
      imageCacheGb: config.imageCacheGb ?? defaultImageCacheGb,
    }),
  );
  // Where both have the same, its end removes what it keeps for both.
  const ofSandboxes = config.sandboxIsolation === 'gvisor' ? strong : isolation;
  const ofClasses = config.isolation === 'gvisor' ? strong : isolation;
  return await Worker.start(
    { ...config, workerId: config.workerId as WorkerId },
    {
      store: services.store,
      bus: services.bus,
      objects: services.objects,
      bundles: new BundleCache(bundlesFolder(config), services.objects),
      clock: systemClock,
      random: systemRandom,
      metrics: shared.metrics,
      log: config.log ?? silentLog,
      transport: shared.transport,
      hostResources,
      sandboxPlatform: (bootId, watchdog) =>
        config.sandboxLack === null
          ? sandboxPlatform({
              backend: ofSandboxes(bootId, watchdog),
              outbound: shared.outbound,
              images: images(bootId, watchdog),
              debianMirror: config.debianMirror ?? defaultDebianMirror,
              mounts: mounts(bootId),
            })
          : null,
      startWatchdog: (bootId, deadline) =>
        startWatchdog({
          entry: entryPath('watchdog-main'),
          bootId,
          store: services.storeConfig,
          deadline,
          leaseTtlMs: config.leaseTimes.ttlMs,
          cgroupParents: cgroups(bootId).parents,
          folders: [bootFolder(config, bootId)],
          env: storeEnv(),
          clock: systemClock,
        }),
      starterOf: (bootId, watchdog) => {
        const behindWalls = (): ContainerStarter =>
          isolatedStarter({
            ...{ config, bootId, outbound: shared.outbound, mounts: mounts(bootId) },
            backend: ofClasses(bootId, watchdog),
            images: images(bootId, watchdog),
          });
        if (config.isolation !== 'process') return behindWalls();
        return unisolatedStarter(
          { cgroups: cgroups(bootId), watchdog },
          config.sandboxLack === null ? behindWalls() : null,
        );
      },
    },
  );
}

const containers = () => ({ entry: entryPath('container-main'), clock: systemClock, random: systemRandom });

/** Of class containers without walls; but an image or volumes are seen behind some only (ADR 63). @param walled null: the host has none */
function unisolatedStarter(
  boot: Pick<ContainerStarterOptions, 'cgroups' | 'watchdog'>,
  walled: ContainerStarter | null,
): ContainerStarter {
  const plain = createContainerStarter({ ...containers(), ...boot, hostEnv: process.env, env: {} });
  if (walled === null) return plain;
  return { start: (memoryMb, own) => (own === undefined ? plain : walled).start(memoryMb, own) };
}

/** Of class containers behind walls. */
function isolatedStarter(boot: {
  readonly config: WorkerPartConfig;
  readonly bootId: BootId;
  readonly backend: IsolationBackend;
  readonly outbound: OutboundProxies;
  readonly images: HostImages;
  readonly mounts: Pick<SandboxPlatform, 'mountVolumes'>;
}): ContainerStarter {
  const { config, bootId, backend, outbound, images, mounts } = boot;
  const bundleFolder = bundlesFolder(config);
  const socketFolder = join(bootFolder(config, bootId), 'outbound');
  return createIsolatedStarter({
    ...containers(),
    backend,
    binds: classBinds(bundleFolder),
    imageBinds: classBinds(bundleFolder, nodeInImages),
    images: images.images,
    bundleFolder,
    mountVolumes: mounts.mountVolumes,
    openOutbound: (id) => openOutboundSocket(outbound.open('all'), { folder: socketFolder, id }),
    env: harmlessEnv(process.env),
  });
}

/** Makes it at the first call, and gives the same one to every other: there is one boot. */
function once<A extends readonly unknown[], R>(make: (...args: A) => R): (...args: A) => R {
  let made: { readonly value: R } | null = null;
  return (...args) => {
    made ??= { value: make(...args) };
    return made.value;
  };
}

/** Of one boot: the disks of its sandboxes, and the sockets of their proxies. */
function bootFolder({ dataFolder }: WorkerPartConfig, bootId: BootId): string {
  return join(sandboxesFolder(dataFolder), bootFolderName(bootId));
}

function bundlesFolder({ dataFolder }: WorkerPartConfig): string {
  return join(dataFolder, 'bundles');
}

function hostResources(): { readonly cpuCores: number; readonly freeMemoryMb: number } {
  return { cpuCores: availableParallelism(), freeMemoryMb: freemem() / bytesPerMb };
}
