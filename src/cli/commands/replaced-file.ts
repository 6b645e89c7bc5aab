import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** A file of this machine takes its place when all of it is written, under a name of its own beside. */
export async function replaced(local: string, write: (part: string) => Promise<void>): Promise<void> {
  const part = join(dirname(local), `.${basename(local)}.holdfast-${process.pid}`);
  try {
    await write(part);
    await rename(part, local);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
