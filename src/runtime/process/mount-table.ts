import { readFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

export interface MountLine {
  readonly device: string;
  readonly folder: string;
  readonly kind: string;
}

/** What is mounted where this process looks, in that order; by the kernel's list, for who asks a folder itself may wait for ever. */
export function mountLines(): MountLine[] {
  return linesOf('/proc/self/mountinfo').map((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , device = '', , folder = ''] = left.split(' ');
    return { device, folder: unescaped(folder), kind: right.split(' ')[0] ?? '' };
  });
}

/** Where something is mounted at a path or below it. Nothing is asked of the path itself. */
export async function mountedAtOrBelow(path: string): Promise<string[]> {
  const real = await unlinked(path);
  return mountLines()
    .map(({ folder }) => folder)
    .filter((folder) => folder === real || folder.startsWith(`${real}/`));
}

/** As the kernel's list has it: with no links in its parents. */
export async function unlinked(path: string): Promise<string> {
  const parent = await realpath(dirname(path)).catch(() => dirname(path)); // not there: nothing is mounted below
  return join(parent, basename(path));
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').trim().split('\n');
  } catch {
    // No /proc here: then nothing of ours is mounted either.
    return [];
  }
}

function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
