import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDiskObjectStore } from '../../adapters/disk/disk-object-store.js';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { ImageStore } from '../../common/images/image-store.js';
import type { ObjectStore } from '../../common/ports/object-store.js';
import type { IsolationBackend } from '../../common/ports/sandbox.js';
import { TimerWheel } from '../../common/timer-wheel.js';
import type { MountReference } from '../../common/volume-mounts.js';
import { defaultDebianMirror } from '../../runtime/images/debian-image.js';
import { ImageBuilds } from '../../runtime/images/image-builds.js';
import { Images } from '../../runtime/images/images.js';
import type { ContainerMounts, MountsAsk } from '../../runtime/mounts/container-mounts.js';
import { openGuestNetwork } from '../../runtime/outbound/guest-network.js';
import { OutboundProxies } from '../../runtime/outbound/outbound-proxy.js';
import { RefusedAddresses } from '../../runtime/outbound/refused-addresses.js';
import { bootFolderName } from '../../runtime/process/boot-folder.js';
import { openCgroups } from '../../runtime/process/cgroups.js';
import { openGuest } from '../../runtime/sandbox/guest/guest-client.js';
import type { SandboxPlatform } from '../../runtime/sandbox/sandbox-factory.js';
import { localAccount } from '../../sdk/handle-input.js';
import { guestProgramPath } from './guest-program.js';
import { createIsolation, sandboxesFolder, sweepDeadBoots } from './isolation.js';

const bytesPerGb = 1_073_741_824;
export const defaultImageCacheGb = 20;
const agentPath = '/run/holdfast/agent';
const wheelTickMs = 1_000;
/** Of all sandboxes of this process. */
const wheel = new TimerWheel(systemClock, wheelTickMs);

/** Images of an account on this host. @param of.folder of the boot */
export function hostImages(of: {
  /** Of bubblewrap: it works on layers. */
  readonly backend: IsolationBackend;
  readonly objects: ObjectStore;
  readonly account: string;
  readonly folder: string;
  readonly imageCacheGb: number;
}): HostImages {
  const { backend, objects, account, folder, imageCacheGb } = of;
  const store = new ImageStore({ objects, account, clock: systemClock, random: systemRandom });
  const maxBytes = imageCacheGb * bytesPerGb;
  const images = new Images({ backend, store, folder: join(folder, 'layers'), maxBytes, clock: systemClock });
  return { backend, store, images };
}

/** Layers on this host, for sandboxes, class containers and builds. */
export interface HostImages {
  readonly backend: IsolationBackend;
  readonly store: ImageStore;
  readonly images: Images;
}

/** What runs sandboxes on this host. @throws SandboxUnavailable where the agent was not built */
export function sandboxPlatform(parts: {
  readonly backend: IsolationBackend;
  readonly outbound: OutboundProxies;
  readonly images: HostImages;
  readonly debianMirror: string;
  readonly mounts: Pick<SandboxPlatform, 'mountVolumes' | 'closeMounts'>;
}): SandboxPlatform {
  const { backend, outbound, images, debianMirror, mounts } = parts;
  const shared = {
    agent: { argv: [agentPath], binds: [{ source: guestProgramPath(), target: agentPath }] },
    openGuest: (socket) => openGuest(socket, wheel),
    openNetwork: (guest, policy) => openGuestNetwork(guest, policy.outbound, outbound),
  } satisfies Partial<SandboxPlatform>;
  const host = { ...shared, backend: images.backend, random: systemRandom };
  return {
    backend,
    ...mounts,
    ...shared,
    images: images.images,
    builds: new ImageBuilds({ ...images, host, debianMirror }),
  };
}

function mountText(mount: MountReference): string {
  if ('bucket' in mount) return `bucket ${mount.bucket.bucketName}`;
  return 'volume' in mount ? `volume ${mount.volume}` : `network file system ${mount.networkFileSystem}`;
}

/** Sessions of this process have no cluster whose volumes they could see. @throws VolumeUnavailable where some are asked for */
async function mountNothing({ volumes: [first] }: MountsAsk): Promise<ContainerMounts> {
  if (first === undefined)
    return { binds: [], lost: new Promise(() => undefined), detach: () => Promise.resolve(null) };
  throw new HoldfastError(
    'VolumeUnavailable',
    `${mountText(first)} cannot be mounted at ${first.path} of a local session: create it in a cluster`,
  );
}

let local: Promise<SandboxPlatform> | null = null;

/** For sessions of this process, without a worker. @throws SandboxUnavailable, saying what to install */
export function openLocalPlatform(): Promise<SandboxPlatform> {
  local ??= openLocal().catch((e: unknown) => {
    // What was missing may be there next time.
    local = null;
    throw e;
  });
  return local;
}

async function openLocal(): Promise<SandboxPlatform> {
  const bootId = `local-${Buffer.from(systemRandom.bytes(8)).toString('hex')}`;
  const dataFolder = join(tmpdir(), 'holdfast-local');
  // Nobody watches this process: its sandboxes die with it, and what is left on the disk goes at the next start.
  const watchdog = { guard: () => Promise.resolve(), release: () => undefined };
  const backend = createIsolation({
    bootId,
    dataFolder,
    cgroups: openCgroups({ bootId }),
    watchdog,
    kind: 'bubblewrap',
  });
  await sweepDeadBoots(dataFolder);
  await backend.check();
  const refused = new RefusedAddresses(systemClock, () => []);
  const folder = join(sandboxesFolder(dataFolder), bootFolderName(bootId));
  // Of this process: what it made goes with it.
  const objects = createDiskObjectStore({ folder: join(folder, 'objects') });
  const images = { backend, objects, account: localAccount, folder, imageCacheGb: defaultImageCacheGb };
  return sandboxPlatform({
    backend,
    outbound: new OutboundProxies({ clock: systemClock, refused }),
    images: hostImages(images),
    debianMirror: defaultDebianMirror,
    mounts: { mountVolumes: mountNothing, closeMounts: () => Promise.resolve() },
  });
}
