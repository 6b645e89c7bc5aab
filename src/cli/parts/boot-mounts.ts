import { systemClock } from '../../adapters/system/clock.js';
import type { BootId } from '../../common/ids.js';
import { volumeMounter } from '../../runtime/mounts/container-mounts.js';
import { HostDisks } from '../../runtime/mounts/host-disks.js';
import { MountHost } from '../../runtime/mounts/mount-host.js';
import type { SandboxPlatform } from '../../runtime/sandbox/sandbox-factory.js';
import { entryPath } from './entries.js';
import { volumeToolBinds } from './guest-program.js';
import { launcher, mountsFolder, volumesFolder } from './isolation.js';
import type { Services } from './services.js';
import { storeEnv } from './store-env.js';

const bytesPerGb = 1_073_741_824;
const volumeCacheGb = 20;

/** Volumes for containers of one boot; the process that serves them starts with the first. */
export function bootMounts(
  services: Services,
  {
    dataFolder,
    account,
    workerId,
  }: { readonly dataFolder: string; readonly account: string; readonly workerId: string },
  bootId: BootId,
): Pick<SandboxPlatform, 'mountVolumes' | 'closeMounts'> {
  // Also what an object store in a bucket takes its credentials from.
  const credentials = Object.keys(process.env).filter((name) => name.startsWith('AWS_'));
  const host = new MountHost({
    ...{ entry: entryPath('mount-main'), bootId, folder: mountsFolder(dataFolder), launcher, clock: systemClock },
    cacheBytes: volumeCacheGb * bytesPerGb,
    stores: { store: services.storeConfig, objects: services.objectsPlace },
    env: storeEnv(credentials),
  });
  const disks = new HostDisks({
    ...{ store: services.store, account, clock: systemClock, workerId, launcher },
    folder: volumesFolder(dataFolder),
  });
  const mountVolumes = volumeMounter({
    ...{ host, disks, account, toolBinds: volumeToolBinds() },
    log: (line) => process.stderr.write(`${line}\n`),
  });
  const closeMounts = async (): Promise<void> => {
    await Promise.all([host.close(), disks.close()]);
  };
  return { mountVolumes, closeMounts };
}
