import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';

/**
 * Removes a folder with all that is in it; nothing where it is not there. What a sandbox wrote may be nested deeper than a path
 * can say, which Node cannot remove: `rm` goes from folder to folder.
 */
export async function removeFolder(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENAMETOOLONG') throw error;
    const [code] = (await once(spawn('rm', ['-rf', '--', path], { stdio: 'ignore' }), 'close')) as [number | null];
    if (code !== 0) throw error;
  }
}
