import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { HoldfastError } from '../../common/errors.js';
import { mountedAtOrBelow } from './mount-table.js';

/**
 * Removes a folder with all that is in it; nothing where it is not there. What a sandbox wrote may be nested deeper than a path
 * can say, which Node cannot remove: `rm` goes from folder to folder. Either would go on into what is mounted below, and remove
 * what is somebody else's.
 *
 * @throws Unavailable where something is mounted below it; nothing is removed then
 */
export async function removeFolder(path: string): Promise<void> {
  const mounted = await mountedAtOrBelow(path);
  if (mounted.length > 0) throw stillMounted(path, mounted);
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error;
    const [code] = (await once(spawn('rm', ['-rf', '--', path], { stdio: 'ignore' }), 'close')) as [number | null];
    if (code !== 0) throw error;
  }
}

function stillMounted(path: string, mounted: readonly string[]): HoldfastError {
  return new HoldfastError(
    'Unavailable',
    `${path} stays, as files that are mounted at ${mounted.join(', ')} would be removed with it: unmount them, then remove it`,
    { retryable: false, details: { path, mounted } },
  );
}
