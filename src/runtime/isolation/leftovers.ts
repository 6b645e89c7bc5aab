import { type Dirent, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../common/clock.js';
import { type BootFolder, bootsFolder, parseBootFolder } from '../process/boot-folder.js';
import { areCgroupsEmpty, killCgroups, processesBelow, removeCgroups } from '../process/cgroup-tree.js';
import { removeFolder } from '../process/remove-folder.js';

/** What a boot whose worker is gone left on this host: its watchdog was killed too, or could not finish. */
export interface Leftover {
  readonly bootId: string;
  /** Folders of cgroups, one per hierarchy. */
  readonly cgroups: readonly string[];
  /** With the disks of its sandboxes. */
  readonly folders: readonly string[];
  readonly processes: number;
  /** On disk. */
  readonly bytes: number;
}

/** One that was to be removed. */
export interface SweptBoot extends Leftover {
  /** What of it stays, and why; null: nothing. */
  readonly problem: string | null;
}

const bytesPerBlock = 512;
const deepestCgroup = 12;
const firstPollMs = 1;
const longestPollMs = 100;
const killTries = 100;

/**
 * Never anything of a worker that lives, nor of one that cannot be judged from here.
 *
 * @param places.cgroupFolders folders that hold cgroups of boots
 * @param places.sandboxFolders folders that hold the disks of boots
 */
export function findLeftovers(places: {
  readonly cgroupFolders: readonly string[];
  readonly sandboxFolders: readonly string[];
}): Leftover[] {
  const cgroups = deadBoots(places.cgroupFolders);
  const folders = deadBoots(places.sandboxFolders);
  const boots = new Set([...cgroups.keys(), ...folders.keys()]);
  return [...boots].sort().map((bootId) => {
    const ofBoot = { cgroups: cgroups.get(bootId) ?? [], folders: folders.get(bootId) ?? [] };
    // The same processes are in every hierarchy.
    const processes = Math.max(0, ...ofBoot.cgroups.map((folder) => processesBelow(folder).length));
    const bytes = ofBoot.folders.reduce((sum, folder) => sum + bytesBelow(folder), 0);
    return { bootId, ...ofBoot, processes, bytes };
  });
}

/** Kills, waits, removes. What is left of it then, and why; null: nothing. */
export async function removeLeftover(
  { cgroups, folders }: Pick<Leftover, 'cgroups' | 'folders'>,
  clock: Clock,
): Promise<string | null> {
  let pollMs = firstPollMs;
  for (let tries = 0; tries < killTries && !areCgroupsEmpty(cgroups); tries += 1) {
    killCgroups(cgroups);
    await clock.sleep(pollMs);
    pollMs = Math.min(pollMs * 2, longestPollMs);
  }
  const problems = removeCgroups(cgroups) ? [] : [`processes go on in ${cgroups.join(', ')}`];
  for (const folder of folders)
    await removeFolder(folder).catch((error: unknown) => {
      problems.push(error instanceof Error ? error.message : String(error));
    });
  return problems.length === 0 ? null : problems.join('; ');
}

/** Everywhere on the host: whoever asks is in another cgroup than a worker under a supervisor. */
export function findBootCgroups(root = '/sys/fs/cgroup'): string[] {
  const found: string[] = [];
  const look = (folder: string, depth: number): void => {
    for (const name of foldersIn(folder)) {
      const path = join(folder, name);
      if (name === bootsFolder && foldersIn(path).some((boot) => parseBootFolder(boot) !== null)) found.push(path);
      else if (depth < deepestCgroup) look(path, depth + 1);
    }
  };
  look(root, 0);
  return found;
}

function deadBoots(parents: readonly string[]): Map<string, string[]> {
  const dead = new Map<string, string[]>();
  for (const parent of parents) {
    const boots = foldersIn(parent).map(parseBootFolder);
    for (const { bootId, name } of boots.filter((boot): boot is BootFolder => boot?.owner === 'dead'))
      dead.set(bootId, [...(dead.get(bootId) ?? []), join(parent, name)]);
  }
  return dead;
}

function bytesBelow(folder: string): number {
  return entriesIn(folder).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sum + bytesBelow(path);
    return sum + blocksOf(path) * bytesPerBlock;
  }, 0);
}

function blocksOf(path: string): number {
  try {
    return lstatSync(path).blocks;
  } catch {
    // Removed meanwhile, or a path that is too long: names in layers were chosen by sandboxes.
    return 0;
  }
}

function foldersIn(folder: string): string[] {
  return entriesIn(folder)
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
}

function entriesIn(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // Not there, not ours to read, or removed meanwhile: nothing to find in it.
    return [];
  }
}
