import { closeSync, openSync } from 'node:fs';
import { mkdir, rmdir, writeFile } from 'node:fs/promises';
import type { Clock } from '../../common/clock.js';
import { runLauncher, runLauncherWith } from '../isolation/launcher.js';
import { mountLines, unlinked } from '../process/mount-table.js';
import { FuseDevice, type FuseHandler } from './fuse/fuse-device.js';

const readAheadKb = 1_024;
const flushWithinMs = 60_000;

export interface FuseMountOptions {
  /** Path of the built launcher.c. */
  readonly launcher: string;
  /** Where it is seen; made here. */
  readonly folder: string;
  readonly handler: FuseHandler;
  readonly onFailure: (error: unknown) => void;
  readonly clock: Pick<Clock, 'after'>;
}

/** A file system of this process, mounted. This process never looks into it: it would wait for itself. */
export interface FuseMount {
  readonly device: FuseDevice;
  /** Resolves when it is mounted no more, also by others. */
  readonly over: Promise<void>;
  /** Brings what programs have written, and the kernel still has, to the handler. @throws Unavailable */
  flush(): Promise<void>;
  unmount(): Promise<void>;
}

/** @throws Unavailable, with what is missing on this host */
export async function mountFuse({ launcher, folder, ...parts }: FuseMountOptions): Promise<FuseMount> {
  await mkdir(folder, { recursive: true, mode: 0o711 });
  const fd = openSync('/dev/fuse', 'r+');
  try {
    await runLauncherWith(fd, launcher, [['fuse', folder]]);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const device = new FuseDevice(fd, parts);
  const over = device.serve();
  await readAhead(folder).catch(parts.onFailure); // slower, else the same
  return {
    device,
    over,
    flush: () => runLauncher(launcher, [['flush', folder]], flushWithinMs),
    unmount: async () => {
      await unmount(launcher, folder);
      await over;
    },
  };
}

/** Whatever is mounted at a folder, alive or not; then the folder goes. @throws Unavailable */
export async function unmount(launcher: string, folder: string): Promise<void> {
  await runLauncher(launcher, [['unmount', folder]]);
  // Never what is in it: that would be what was mounted.
  await rmdir(folder).catch(() => undefined);
}

/** Folders at which file systems of this kind are mounted. */
export function mountedFolders(): string[] {
  return mountLines()
    .filter(({ kind }) => kind === 'fuse.holdfast')
    .map(({ folder }) => folder);
}

async function readAhead(folder: string): Promise<void> {
  // Never of the folder itself: that would be asked of this process.
  const real = await unlinked(folder);
  const device = mountLines().find((line) => line.folder === real)?.device;
  if (device !== undefined) await writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(readAheadKb));
}
