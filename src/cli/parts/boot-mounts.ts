import { systemClock } from '../../adapters/system/clock.js';
import type { BootId } from '../../common/ids.js';
import { volumeMounter } from '../../runtime/mounts/container-mounts.js';
import { MountHost } from '../../runtime/mounts/mount-host.js';
import type { SandboxPlatform } from '../../runtime/sandbox/sandbox-factory.js';
import { entryPath } from './entries.js';
import { volumeToolBinds } from './guest-program.js';
import { launcher, mountsFolder } from './isolation.js';
import type { Services } from './services.js';
import { storeEnv } from './store-env.js';

const bytesPerGb = 1_073_741_824;
const volumeCacheGb = 20;

/** Volumes for containers of one boot; the process that serves them starts with the first. */
export function bootMounts(
  services: Services,
  { dataFolder, account }: { readonly dataFolder: string; readonly account: string },
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
  const mountVolumes = volumeMounter({
    ...{ host, account, toolBinds: volumeToolBinds() },
    log: (line) => process.stderr.write(`${line}\n`),
  });
  return { mountVolumes, closeMounts: () => host.close() };
}
