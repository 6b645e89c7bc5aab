import { join } from 'node:path';
import type { Clock } from '../../common/clock.js';
import { HoldfastError } from '../../common/errors.js';
import { readCgroupFile, tryWrite } from './cgroup-tree.js';

const pollMs = 1;
/** The kernel stops a process at its next return from the kernel: one that waits for a slow disk takes as long as that. */
const tries = 2_000;

/** Through the v2 tree, which hybrid hosts have as well. Frozen processes can be killed. @throws Unavailable */
export async function freezeCgroups(folders: readonly string[], clock: Clock): Promise<void> {
  const folder = folders.find((candidate) => tryWrite(join(candidate, 'cgroup.freeze'), 1));
  if (folder === undefined) throw cannotFreeze();
  for (let tried = 0; tried < tries; tried += 1) {
    if (/^frozen 1$/m.test(readCgroupFile(join(folder, 'cgroup.events')) ?? '')) return;
    await clock.sleep(pollMs);
  }
  thawCgroups(folders);
  throw new HoldfastError('Unavailable', `the processes in ${folder} did not stand still within ${tries * pollMs} ms`);
}

/** Does nothing where they are not frozen. */
export function thawCgroups(folders: readonly string[]): void {
  for (const folder of folders) tryWrite(join(folder, 'cgroup.freeze'), 0);
}

export function cannotFreeze(): HoldfastError {
  const message = 'processes cannot be made to stand still here: that needs cgroups v2 (cgroup.freeze, Linux 5.2)';
  return new HoldfastError('Unavailable', message, { retryable: false });
}
