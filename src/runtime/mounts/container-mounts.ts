import { HoldfastError } from '../../common/errors.js';
import type { ContainerMount } from '../../common/ports/container.js';
import type { IsolatedBind, IsolatedProcess } from '../../common/ports/sandbox.js';
import type { DiskMount, HostDisks } from './host-disks.js';
import type { HostMount, MountHost } from './mount-host.js';
import type { MountAsk } from './mount-messages.js';

export interface MountsAsk {
  /** Of the container; unique on the host, of `[A-Za-z0-9_-]`. */
  readonly id: string;
  /** The user of the host that its programs are. */
  readonly uid: number;
  readonly volumes: readonly ContainerMount[];
  /** What they may keep on this host until it is committed, all of them; of private ones, all that is written. */
  readonly diskGb: number;
}

/** The volumes of one container. */
export interface ContainerMounts {
  readonly binds: readonly IsolatedBind[];
  /** Resolves when their files give errors: a container cannot go on then. Never where it has none. */
  readonly lost: Promise<void>;
  /**
   * After its last process: what it wrote is committed where that is to be, and nothing of it is mounted. Never rejects; says
   * what could not be committed, else null. Idempotent.
   */
  detach(): Promise<string | null>;
}

export type MountVolumes = (ask: MountsAsk) => Promise<ContainerMounts>;

/** Ends a container whose volumes are lost; when it has ended and they are detached, what could not be committed, else null. */
export async function settledAfter(process: IsolatedProcess, mounts: ContainerMounts): Promise<string | null> {
  // Nobody waits for what never comes: it would keep the process in memory.
  if (mounts.binds.length === 0) {
    await process.exited;
    return null;
  }
  let hasEnded = false;
  void mounts.lost.then(() => {
    if (!hasEnded) process.kill();
  });
  await process.exited;
  hasEnded = true;
  // Its last process has closed its files then.
  await process.remove().catch(() => undefined); // whoever removes it hears of it
  return await mounts.detach();
}

const bytesPerGb = 1_073_741_824;
const none: ContainerMounts = {
  binds: [],
  lost: new Promise(() => undefined),
  detach: () => Promise.resolve(null),
};

export interface VolumeMounterParts {
  readonly host: Pick<MountHost, 'attach' | 'attachTree'>;
  /** For volumes that are in a folder of this host. */
  readonly disks: Pick<HostDisks, 'attach'>;
  readonly account: string;
  /** What programs inside commit and reload with. */
  readonly toolBinds: readonly IsolatedBind[];
  readonly log: (line: string) => void;
}

/** Whose a mount is, and what he may keep on this host. */
type MountPlace = Pick<MountAsk, 'name' | 'uid' | 'owner' | 'maxLocalBytes'>;

/** All of them, or none: a container never starts without its data. */
export function volumeMounter({ host, disks, account, toolBinds, log }: VolumeMounterParts): MountVolumes {
  const mountOne = async (one: ContainerMount, { name, uid, owner, maxLocalBytes }: MountPlace) => {
    if ('bucket' in one) {
      const { bucket, keys, readOnly: isReadOnly } = one;
      if (keys === undefined)
        throw new HoldfastError(
          'VolumeUnavailable',
          `bucket ${bucket.bucketName} cannot be mounted without its secrets`,
        );
      return await host.attachTree({ name, uid, maxLocalBytes, isReadOnly, source: { kind: 'bucket', bucket, keys } });
    }
    if ('networkFileSystem' in one) {
      const { networkFileSystem, createIfMissing: isMadeIfMissing, readOnly: isReadOnly } = one;
      const source = { kind: 'live', account, name: networkFileSystem, isMadeIfMissing } as const;
      return await host.attachTree({ name, uid, maxLocalBytes, isReadOnly, source });
    }
    const disk = await disks.attach(one, { name, uid });
    if (disk !== null) return disk;
    const { volume, whenMissing, readOnly, mode, autoCommit } = one;
    return await host.attach({
      ...{ name, uid, account, volume, owner, maxLocalBytes },
      whenMissing: whenMissing ?? null,
      ...{ isReadOnly: readOnly, isPrivate: mode === 'private', commitsByItself: autoCommit },
    });
  };
  return async ({ id, uid, volumes, diskGb }) => {
    if (volumes.length === 0) return none;
    const mounted: { readonly path: string; readonly readOnly: boolean; readonly mount: HostMount | DiskMount }[] = [];
    const detachOne = async ({ mount, path }: (typeof mounted)[number]): Promise<string | null> => {
      try {
        await mount.detach();
        return null;
      } catch (error) {
        const problem = `what was written at ${path} could not be committed: ${error instanceof Error ? error.message : String(error)}`;
        log(`container ${id}: ${problem}`);
        return problem;
      }
    };
    let detached: Promise<string | null> | null = null;
    const detach = (): Promise<string | null> => {
      detached ??= Promise.all(mounted.map(detachOne)).then((problems) => problems.filter(Boolean).join('; ') || null);
      return detached;
    };
    const place = { uid, owner: id, maxLocalBytes: diskGb * bytesPerGb };
    try {
      for (const [i, one] of volumes.entries()) {
        const { path, readOnly } = one;
        mounted.push({ path, readOnly, mount: await mountOne(one, { ...place, name: `${id}-${i}` }) });
      }
    } catch (error) {
      await detach();
      throw error;
    }
    return {
      binds: [
        ...toolBinds,
        ...mounted.map(({ path, readOnly, mount }) => ({ source: mount.folder, target: path, writable: !readOnly })),
      ],
      lost: Promise.race(mounted.flatMap(({ mount }) => ('lost' in mount ? [mount.lost] : []))),
      detach,
    };
  };
}
