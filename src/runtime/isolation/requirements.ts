import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import type { Cgroups } from '../process/cgroups.js';
import { systemPath } from './launcher.js';
import { filterArch } from './seccomp-filter.js';

/** Programs of the host, and the packages of Debian and Ubuntu that have them. */
const programs = [
  { program: 'bwrap', name: 'bubblewrap' },
  { program: 'mkfs.ext4', name: 'e2fsprogs' },
  { program: 'tar', name: 'tar' },
];

/** Path of a program of the host; null where it is not installed. */
export function findProgram(name: string): string | null {
  for (const folder of systemPath.split(':')) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there, or not executable: look on.
    }
  }
  return null;
}

/** What can be told without a trial. @throws SandboxUnavailable */
export function checkRequirements({
  cgroups,
  launcher,
}: {
  readonly cgroups: Cgroups;
  readonly launcher: string;
}): void {
  if (process.platform !== 'linux' || filterArch(process.arch) === null)
    throw unavailable(`it needs Linux on x86_64 or aarch64, this is ${process.platform} on ${process.arch}`);
  const user = process.getuid?.();
  if (user !== 0)
    throw unavailable(
      `it mounts file systems and gives each sandbox a user of its own, which needs root; this process runs as user ${user}`,
    );
  const missing = programs.filter(({ program }) => findProgram(program) === null).map(({ name }) => name);
  if (missing.length > 0)
    throw unavailable(
      `${missing.join(' and ')} not installed: apt-get install --no-install-recommends ${missing.join(' ')} (Fedora, RHEL: dnf install ${missing.join(' ')})`,
    );
  try {
    accessSync(launcher, constants.X_OK);
  } catch (error) {
    throw unavailable(`its launcher is not built: install a C compiler and run npm run build (${launcher})`, error);
  }
  const { limitsMemory, limitsPids } = cgroups;
  if (!limitsMemory || !limitsPids) {
    const lacking = [...(limitsMemory ? [] : ['memory']), ...(limitsPids ? [] : ['pids'])].join(' and ');
    throw unavailable(
      `the cgroup controllers ${lacking} cannot be used here: mount /sys/fs/cgroup writable, or under systemd set Delegate=yes`,
    );
  }
}

export function unavailable(why: string, cause?: unknown, walls = 'bubblewrap'): HoldfastError {
  return new HoldfastError('SandboxUnavailable', `isolation with ${walls} is not available: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
