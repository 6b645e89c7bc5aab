import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock, systemRandom } from '../../adapters/system/clock.js';
import { HoldfastError, isHoldfastError } from '../../common/errors.js';
import type { Isolation } from '../../common/manifest.js';
import type { IsolatedBind, IsolationBackend } from '../../common/ports/sandbox.js';
import type { Watchdog } from '../../common/ports/watchdog.js';
import { Bubblewrap } from '../../runtime/isolation/bubblewrap.js';
import { bubblewrapWalls } from '../../runtime/isolation/bubblewrap-start.js';
import { gvisorWalls } from '../../runtime/isolation/gvisor-start.js';
import { findLeftovers, removeLeftover, type SweptBoot } from '../../runtime/isolation/leftovers.js';
import { sweepMounts } from '../../runtime/mounts/mount-host.js';
import { removeCgroups } from '../../runtime/process/cgroup-tree.js';
import { type Cgroups, openCgroups } from '../../runtime/process/cgroups.js';
import { guestProgramPath } from './guest-program.js';

/** What isolates the processes of one boot. */
export function createIsolation(options: {
  readonly bootId: string;
  readonly dataFolder: string;
  readonly cgroups: Cgroups;
  readonly watchdog: Pick<Watchdog, 'guard' | 'release'>;
  readonly kind: IsolationBackend['kind'];
}): IsolationBackend {
  const { bootId, cgroups, watchdog } = options;
  const folder = sandboxesFolder(options.dataFolder);
  const walls = options.kind === 'gvisor' ? gvisorWalls() : bubblewrapWalls;
  const time = { clock: systemClock, random: systemRandom };
  return new Bubblewrap({ bootId, folder, launcher, cgroups, watchdog, walls, ...time });
}

/** Where a worker keeps the disks of its sandboxes, a folder for each boot. */
export function sandboxesFolder(dataFolder: string): string {
  return join(dataFolder, 'sandboxes');
}

/** Where a worker keeps its mounts, a folder for each process that serves some. */
export function mountsFolder(dataFolder: string): string {
  return join(dataFolder, 'mounts');
}

/** Where a worker keeps the volumes that are bound to it. */
export function volumesFolder(dataFolder: string): string {
  return join(dataFolder, 'volumes');
}

/** Those of the workers whose data is in a folder: its own, or one or two levels below it, as in the state folder. */
export function sandboxesFolders(folder: string): string[] {
  const below = (parent: string): string[] =>
    existsSync(parent)
      ? readdirSync(parent, { withFileTypes: true })
          .filter((entry) => entry.isDirectory())
          .map(({ name }) => join(parent, name))
      : [];
  const workers = below(folder);
  return [folder, ...workers, ...workers.flatMap(below)].map(sandboxesFolder).filter((path) => existsSync(path));
}

/** Removes what boots that are dead left of this worker's, and of others in the same cgroup. */
export async function sweepDeadBoots(dataFolder: string): Promise<SweptBoot[]> {
  const own = openCgroups({ bootId: 'sweep' });
  const cgroupFolders = own.parents.map((parent) => dirname(parent));
  removeCgroups(own.parents);
  await sweepMounts({ folder: mountsFolder(dataFolder), launcher });
  const leftovers = findLeftovers({ cgroupFolders, sandboxFolders: [sandboxesFolder(dataFolder)] });
  const swept: SweptBoot[] = [];
  for (const leftover of leftovers) swept.push({ ...leftover, problem: await removeLeftover(leftover, systemClock) });
  return swept;
}

/** Tries it, so that a worker does not offer what it cannot give. @throws SandboxUnavailable */
export async function checkIsolation(isolation: Isolation, dataFolder: string): Promise<void> {
  if (isolation === 'process') return;
  try {
    await tryIsolation(dataFolder, isolation);
  } catch (error) {
    if (!isHoldfastError(error, 'SandboxUnavailable')) throw error;
    const weaker = isolation === 'gvisor' ? 'bubblewrap' : 'process';
    const message = `${error.message}; or start the worker with --isolation ${weaker}, which isolates class containers less`;
    throw new HoldfastError('SandboxUnavailable', message, { cause: error });
  }
}

/** With a real process. @throws SandboxUnavailable */
export async function tryIsolation(dataFolder: string, kind: IsolationBackend['kind']): Promise<void> {
  const bootId = `check-${Buffer.from(systemRandom.bytes(8)).toString('hex')}`;
  const cgroups = openCgroups({ bootId });
  const watchdog = { guard: () => Promise.resolve(), release: () => undefined };
  const backend = createIsolation({ bootId, dataFolder, cgroups, watchdog, kind });
  try {
    await backend.check();
  } finally {
    await backend.close();
    removeCgroups(cgroups.parents);
  }
}

/** Why sandboxes cannot run here, and what would help; null: they can. */
export async function isolationLack(
  dataFolder: string,
  kind: IsolationBackend['kind'] = 'bubblewrap',
): Promise<string | null> {
  try {
    guestProgramPath();
    await tryIsolation(dataFolder, kind);
    return null;
  } catch (error) {
    // Whatever went wrong, a worker for classes is still a worker.
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * Node, the package with what it imports, and the bundles, each at its own place.
 *
 * @param node where Node is instead, in a root that has none of the host's programs
 */
export function classBinds(bundleFolder: string, node?: string): IsolatedBind[] {
  const sources = [...packageFolders(), bundleFolder];
  const binds = sources.map((source) => ({ source, target: source }));
  if (node !== undefined) return [{ source: process.execPath, target: node }, ...binds];
  return [{ source: process.execPath, target: process.execPath }, ...binds].filter(
    ({ source }) => !isProgramOfHost(source),
  );
}

/** Of the package, or of a checkout; the same from src and from dist. */
const packageRoot = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
export const launcher = join(packageRoot, `dist/launcher/holdfast-launcher-${process.arch}`);

/** Installed: the outermost node_modules, where its dependencies may be anywhere. In a checkout: what is built and installed in it. */
function packageFolders(): string[] {
  const parts = packageRoot.split(sep);
  const outermost = parts.indexOf('node_modules');
  if (outermost >= 0) return [parts.slice(0, outermost + 1).join(sep)];
  return ['dist', 'node_modules', 'package.json'].map((name) => join(packageRoot, name));
}

/** Every isolated root has these. */
function isProgramOfHost(path: string): boolean {
  return ['/usr/', '/bin/', '/lib/', '/lib64/'].some((folder) => path.startsWith(folder));
}
