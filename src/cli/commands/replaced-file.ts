import { randomUUID } from 'node:crypto';
import { rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** A file of this machine takes its place when all of it is written, under a name of its own beside: its own could be too long to add to. */
export async function replaced(local: string, write: (part: string) => Promise<void>): Promise<void> {
  const part = join(dirname(local), `.holdfast-${randomUUID()}`);
  try {
    await write(part);
    await rename(part, local);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
