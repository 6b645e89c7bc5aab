import { chmod, mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Clock, Random } from '../../common/clock.js';
import type { ContainerFiles, ContainerProcess, ContainerStarter, OwnContainer } from '../../common/ports/container.js';
import type { IsolatedBind, IsolatedProcess, IsolationBackend, Scratch } from '../../common/ports/sandbox.js';
import { SocketChannel } from '../../wire/link/socket-channel.js';
import { defaultDiskGb } from '../hosting/own-container.js';
import type { Images } from '../images/images.js';
import { type ContainerMounts, type MountVolumes, settledAfter } from '../mounts/container-mounts.js';
import { containerProcess, maxContainerPids, readyInTime } from '../process/container-process.js';
import { nodeArguments } from '../process/node-arguments.js';
import { receiveReady } from '../process/ready-signal.js';
import type { OutboundSocket } from './outbound-socket.js';
import { insideUser } from './scratch-template.js';

export interface IsolatedStarterOptions {
  readonly backend: IsolationBackend;
  /** Path of cli/container-main.js. */
  readonly entry: string;
  /** What must be seen inside for it: Node, the package, the bundles. */
  readonly binds: readonly IsolatedBind[];
  /** The same for roots without the host's programs, where Node is `nodeInImages`. */
  readonly imageBinds: readonly IsolatedBind[];
  readonly images: Pick<Images, 'createScratch' | 'settingsOf'>;
  /** Of the binds, made here: bundles come into it later. */
  readonly bundleFolder: string;
  /** Of classes that have some. */
  readonly mountVolumes: MountVolumes;
  /** A way out for a container. */
  readonly openOutbound: (id: string) => Promise<OutboundSocket>;
  /** The whole environment of a container. */
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
}

/** Node needs about that to come up; the class's own limit follows when it is known. */
const startMemoryMb = 512;
/** The host's own Node, which is what the package was made for; of the image it takes the C library. */
export const nodeInImages = '/run/holdfast/node';
const idBytes = 10;

/** Starts class containers behind the same walls as sandboxes. */
export function createIsolatedStarter(options: IsolatedStarterOptions): ContainerStarter {
  let bundleFolder: Promise<void> | null = null;
  return {
    start: async (memoryMb, own) => {
      bundleFolder ??= openForAll(options.bundleFolder);
      await bundleFolder;
      return await start(options, memoryMb, own ?? {});
    },
  };
}

/** @throws SandboxUnavailable, Unavailable */
async function start(
  options: IsolatedStarterOptions,
  memoryMb: number,
  own: ContainerFiles | OwnContainer,
): Promise<ContainerProcess> {
  const { backend, images, random } = options;
  const { image = null, diskGb = defaultDiskGb } = own;
  const { volumes = [] } = 'key' in own ? own : {};
  const id = `c${Buffer.from(random.bytes(idBytes)).toString('hex')}`;
  const scratch = await images.createScratch(id, { diskGb, image, backend });
  const outbound = await options.openOutbound(id);
  const mounts = await options.mountVolumes({ id, uid: scratch.uid, volumes, diskGb }).catch(async (error: unknown) => {
    await Promise.allSettled([scratch.remove(), outbound.close()]);
    throw error;
  });
  const parts = { scratch, outbound, mounts };
  const isolated = await startIn(parts, options, { id, memoryMb }).catch(async (error: unknown) => {
    await removeParts(parts);
    throw error;
  });
  const removed = removeWhenGone(isolated, parts);
  try {
    await readyInTime(isolated, receiveReady(isolated.socket), options.clock);
    const container = containerProcess(isolated, new SocketChannel(isolated.socket));
    return Object.assign(container, { settled: removed, hasVolumes: volumes.length > 0 });
  } catch (error) {
    isolated.kill();
    await removed;
    throw error;
  }
}

interface Parts {
  readonly scratch: Scratch;
  readonly outbound: OutboundSocket;
  readonly mounts: ContainerMounts;
}

function startIn(
  { scratch, outbound, mounts }: Parts,
  { backend, entry, images, binds, imageBinds, env }: IsolatedStarterOptions,
  { id, memoryMb }: { readonly id: string; readonly memoryMb: number },
): Promise<IsolatedProcess> {
  const isWhole = scratch.root.kind === 'image';
  const settings = images.settingsOf(scratch);
  return backend.start({
    id,
    argv: [isWhole ? nodeInImages : process.execPath, ...nodeArguments(memoryMb), entry],
    env: { HOME: insideUser.home, ...env, ...settings.env },
    cwd: settings.workdir ?? '/tmp',
    scratch,
    binds: [...(isWhole ? imageBinds : binds), outbound.bind, ...mounts.binds],
    limits: { memoryMb: Math.max(memoryMb, startMemoryMb), cpu: availableParallelism(), pids: maxContainerPids },
  });
}

async function removeWhenGone(isolated: IsolatedProcess, parts: Parts): Promise<string | null> {
  const problem = await settledAfter(isolated, parts.mounts);
  await isolated.remove();
  await removeParts(parts);
  return problem;
}

/** What cannot be removed goes with the boot's folder. */
async function removeParts({ scratch, outbound, mounts }: Parts): Promise<void> {
  await mounts.detach();
  await Promise.allSettled([scratch.remove(), outbound.close()]);
}

/** The containers are other users of this host. */
async function openForAll(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
}
