import type { IsolatedBind, IsolatedProcess } from '../../common/ports/sandbox.js';
import type { VolumeMountReference } from '../../common/volume-mounts.js';
import type { HostMount, MountHost } from './mount-host.js';

export interface MountsAsk {
  /** Of the container; unique on the host, of `[A-Za-z0-9_-]`. */
  readonly id: string;
  /** The user of the host that its programs are. */
  readonly uid: number;
  readonly volumes: readonly VolumeMountReference[];
}

/** The volumes of one container. */
export interface ContainerMounts {
  readonly binds: readonly IsolatedBind[];
  /** Resolves when their files give errors: a container cannot go on then. Never where it has none. */
  readonly lost: Promise<void>;
  /** After its last process: what it wrote is committed where that is to be, and nothing of it is mounted. Never rejects. */
  detach(): Promise<void>;
}

export type MountVolumes = (ask: MountsAsk) => Promise<ContainerMounts>;

/** Ends a container whose volumes are lost; resolves when it has ended and they are detached. */
export async function settledAfter(process: IsolatedProcess, mounts: ContainerMounts): Promise<void> {
  // Nobody waits for what never comes: it would keep the process in memory.
  if (mounts.binds.length === 0) return void (await process.exited);
  let hasEnded = false;
  void mounts.lost.then(() => {
    if (!hasEnded) process.kill();
  });
  await process.exited;
  hasEnded = true;
  // Its last process has closed its files then.
  await process.remove().catch(() => undefined); // whoever removes it hears of it
  await mounts.detach();
}

const none: ContainerMounts = {
  binds: [],
  lost: new Promise(() => undefined),
  detach: () => Promise.resolve(),
};

export interface VolumeMounterParts {
  readonly host: Pick<MountHost, 'attach'>;
  readonly account: string;
  /** What programs inside commit and reload with. */
  readonly toolBinds: readonly IsolatedBind[];
  readonly log: (line: string) => void;
}

/** All of them, or none: a container never starts without its data. */
export function volumeMounter({ host, account, toolBinds, log }: VolumeMounterParts): MountVolumes {
  return async ({ id, uid, volumes }) => {
    if (volumes.length === 0) return none;
    const mounted: { readonly path: string; readonly readOnly: boolean; readonly mount: HostMount }[] = [];
    const detach = async (): Promise<void> => {
      await Promise.all(
        mounted.map(({ mount, path }) =>
          mount.detach().catch((error: unknown) => {
            log(`container ${id}: what was written at ${path} could not be committed: ${String(error)}`);
          }),
        ),
      );
    };
    try {
      for (const [i, { path, volume, whenMissing, readOnly, mode, autoCommit }] of volumes.entries()) {
        const mount = await host.attach({
          ...{ name: `${id}-${i}`, account, uid, volume },
          whenMissing: whenMissing === undefined ? null : { sizeGb: whenMissing.sizeGb ?? null },
          ...{ isReadOnly: readOnly, isPrivate: mode === 'private', commitsByItself: autoCommit },
        });
        mounted.push({ path, readOnly, mount });
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
      lost: Promise.race(mounted.map(({ mount }) => mount.lost)),
      detach,
    };
  };
}
