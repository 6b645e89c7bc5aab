import { mkdir, readdir, rename, rm, rmdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ulid } from 'ulid';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import type { Store } from '../../common/ports/store.js';
import type { VolumeRecord } from '../../common/ports/volume-store.js';
import { type VolumeMountReference, volumeToMake } from '../../common/volume-mounts.js';
import { runLauncher, runProgram } from '../isolation/launcher.js';
import { insideUser } from '../isolation/scratch-template.js';
import { mountLines, unlinked } from '../process/mount-table.js';

const bytesPerGb = 1_073_741_824;
/** ext4 with its tables and a journal does not fit in less. */
const smallestBytes = 16_777_216;
const launcherMs = 60_000;

export interface HostDisksParts {
  readonly store: Pick<Store, 'volumes'>;
  readonly account: string;
  readonly clock: Clock;
  /** What its volumes are bound to. */
  readonly workerId: string;
  /** Of this worker alone; outlives its boots. */
  readonly folder: string;
  /** Path of the built launcher.c. */
  readonly launcher: string;
}

/** A volume of this host, as one container sees it. */
export interface DiskMount {
  readonly folder: string;
  detach(): Promise<void>;
}

interface Disk {
  readonly path: string;
  users: number;
  readonly mounted: Promise<void>;
}

/**
 * Volumes that are in a folder of this host: each a sparse file with an ext4 file system as large as the volume may be, so that
 * writing above that fails as on any disk that is full. It is mounted once, and for each container once more with the owner
 * that it has there. What was written is there for the next one; nothing of it is committed anywhere.
 */
export class HostDisks {
  readonly #parts: HostDisksParts;
  readonly #disks = new Map<string, Disk>();
  /** Being unmounted, by volume: whoever attaches it again mounts it after that. */
  readonly #leaving = new Map<string, Promise<void>>();
  #swept: Promise<void> | null = null;

  constructor(parts: HostDisksParts) {
    this.#parts = parts;
  }

  /** Null: its files are in the object store. @throws VolumeUnavailable where another host has it, InvalidArgument, Unavailable */
  async attach(
    { volume: name, whenMissing, mode }: VolumeMountReference,
    to: { readonly name: string; readonly uid: number },
  ): Promise<DiskMount | null> {
    const { store, account, clock, workerId } = this.#parts;
    const found = (await store.volumes.find(account, name))?.volume ?? null;
    if ((found?.backend ?? whenMissing?.backend ?? 'cloud_bucket') === 'cloud_bucket') return null;
    if (mode === 'private')
      throw new HoldfastError(
        'InvalidArgument',
        `volume ${name} is in a folder of one host: there are no private mounts of it`,
      );
    const now = clock.now();
    const made = volumeToMake({ account, name, id: ulid(now) }, whenMissing, now);
    const volume = found ?? (await store.volumes.create(made, null)).volume;
    const host = await store.volumes.bind(volume, workerId);
    if (host !== workerId)
      throw new HoldfastError(
        'VolumeUnavailable',
        `volume ${name} is on worker ${host}, not on ${workerId}: it can be used there only`,
        { details: { volume: name, host } },
      );
    // Nothing is mounted before one was done, so it can be tried again.
    this.#swept ??= this.#sweep().catch((error: unknown) => {
      this.#swept = null;
      throw error;
    });
    await this.#swept;
    return await this.#attach(volume, to);
  }

  /** After the last container. */
  async close(): Promise<void> {
    await this.#swept?.catch(() => undefined); // told to whoever attached something
    await this.#unmountAll();
  }

  async #attach(
    volume: VolumeRecord,
    { name, uid }: { readonly name: string; readonly uid: number },
  ): Promise<DiskMount> {
    const disk = this.#diskOf(volume);
    disk.users += 1;
    const folder = join(this.#parts.folder, 'mounts', name);
    try {
      await disk.mounted;
      const owners = [String(insideUser.id), String(uid)] as const;
      await this.#launch([['owned', join(disk.path, 'files'), folder, ...owners]]);
    } catch (error) {
      await this.#leave(volume.id, disk);
      throw error;
    }
    let isDetached = false;
    return {
      folder,
      detach: async () => {
        if (isDetached) return;
        isDetached = true;
        await this.#unmount(folder);
        await this.#leave(volume.id, disk);
      },
    };
  }

  #diskOf(volume: VolumeRecord): Disk {
    const known = this.#disks.get(volume.id);
    if (known !== undefined) return known;
    const path = join(this.#parts.folder, 'mounts', `disk-${volume.id}`);
    const left = this.#leaving.get(volume.id) ?? Promise.resolve();
    const disk: Disk = { path, users: 0, mounted: left.then(() => this.#mount(volume, path)) };
    this.#disks.set(volume.id, disk);
    return disk;
  }

  async #mount(volume: VolumeRecord, path: string): Promise<void> {
    const image = join(this.#parts.folder, imageName(volume));
    await this.#make(image, volume.sizeGb ?? 0);
    await mkdir(join(this.#parts.folder, 'mounts'), { recursive: true, mode: 0o711 });
    await this.#launch([['volume', image, path]]);
    await mkdir(join(path, 'files'), { recursive: true, mode: 0o755 });
    await this.#launch([['own', join(path, 'files'), String(insideUser.id)]]);
  }

  async #make(image: string, sizeGb: number): Promise<void> {
    if ((await readdir(this.#parts.folder)).some((name) => join(this.#parts.folder, name) === image)) return;
    const partial = `${image}.partial`;
    await writeFile(partial, '', { mode: 0o600 });
    await truncate(partial, Math.max(smallestBytes, Math.floor(sizeGb * bytesPerGb)));
    await runProgram('mkfs.ext4', [
      '-q',
      '-F',
      '-m',
      '0',
      '-E',
      'lazy_itable_init=1,nodiscard,root_owner=0:0',
      partial,
    ]);
    await rename(partial, image);
  }

  async #leave(id: string, disk: Disk): Promise<void> {
    disk.users -= 1;
    if (disk.users > 0) return;
    this.#disks.delete(id);
    const leaving = disk.mounted
      .catch(() => undefined) // told to whoever attached it
      .then(() => this.#unmount(disk.path));
    const left = leaving.catch(() => undefined); // told to the last user; what is still mounted the next one is told by its mount
    this.#leaving.set(id, left);
    await leaving.finally(() => {
      if (this.#leaving.get(id) === left) this.#leaving.delete(id);
    });
  }

  /** What a boot that was killed has left mounted, and disks of volumes that were deleted. */
  async #sweep(): Promise<void> {
    const { folder, store, account } = this.#parts;
    await mkdir(folder, { recursive: true, mode: 0o711 });
    await this.#unmountAll();
    for (const file of await readdir(folder)) {
      const [, name, id] = /^([^@]+)@([^@]+)\.img$/.exec(file) ?? [];
      if (file.endsWith('.partial')) await rm(join(folder, file), { force: true });
      if (name === undefined || id === undefined) continue;
      if ((await store.volumes.find(account, name))?.volume.id !== id) await rm(join(folder, file), { force: true });
    }
  }

  async #unmountAll(): Promise<void> {
    const mounts = await unlinked(join(this.#parts.folder, 'mounts'));
    const mounted = mountLines()
      .map((line) => line.folder)
      .filter((path) => path.startsWith(`${mounts}/`));
    // What was mounted last goes first.
    for (const path of mounted.reverse()) await this.#unmount(path);
  }

  async #unmount(path: string): Promise<void> {
    await this.#launch([['unmount', path]]);
    await rmdir(path).catch(() => undefined); // it was never mounted
  }

  async #launch(steps: Parameters<typeof runLauncher>[1]): Promise<void> {
    await runLauncher(this.#parts.launcher, steps, launcherMs);
  }
}

/** Names of volumes have no @. */
function imageName({ name, id }: VolumeRecord): string {
  return `${name}@${id}.img`;
}
