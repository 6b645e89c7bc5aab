import { existsSync, statSync } from 'node:fs';
import { chmod, mkdir, open, symlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { HoldfastError } from '../../../common/errors.js';
import { readContent } from '../../../common/volumes/content.js';
import type { Entry, FileEntry } from '../../../common/volumes/entry.js';
import { parsePath } from '../../../common/volumes/paths.js';
import type { HeldState } from '../../../sdk/volumes/volume-access.js';
import { existing, walk } from '../../../sdk/volumes/volume-tree.js';
import { replaced } from '../replaced-file.js';

/** Something of a volume, and where it goes on this machine. */
export interface FoundFile {
  readonly local: string;
  readonly entry: Entry;
}

interface Progress {
  readonly onProgress: (bytes: number) => void;
  readonly signal: AbortSignal;
}

const ownerMayUse = 0o700;

/** As `cp -r` has it: into a folder that is there, else under the name that is given. @throws FileNotFound */
export async function findFiles(state: HeldState, from: string, to: string): Promise<FoundFile[]> {
  const path = parsePath(from);
  const entry = await existing(state, path);
  const isFolder = existsSync(to) && statSync(to).isDirectory();
  // Of a whole volume: what is in it.
  const top = path.length === 0 ? '' : (path.at(-1) as string);
  const target = resolve(isFolder ? join(to, top) : to);
  const files: FoundFile[] = path.length === 0 && isFolder ? [] : [{ local: target, entry }];
  if (entry.type !== 'directory') return files;
  for await (const [at, found] of walk(state.reader, { path: [], directory: entry }, true))
    files.push({ local: join(target, ...at), entry: found });
  return files;
}

/** With modes and times. A file that was there is replaced when all of the new one is here. */
export async function writeFiles(
  state: HeldState,
  files: readonly FoundFile[],
  { onProgress, signal }: Progress,
): Promise<void> {
  let done = 0;
  const onBytes = (bytes: number): void => {
    if (signal.aborted) throw new HoldfastError('Cancelled', 'stopped; the files that are here are whole');
    done += bytes;
    onProgress(done);
  };
  for (const { local, entry } of files) {
    await mkdir(entry.type === 'directory' ? local : dirname(local), { recursive: true, mode: 0o755 });
    if (entry.type === 'directory') await chmod(local, entry.mode | ownerMayUse);
    else
      await replaced(local, (part) =>
        entry.type === 'file' ? writeFile(state, { part, entry }, onBytes) : symlink(entry.target, part),
      );
  }
  // At last, and the deepest first: what comes into a directory changes its time, and its mode may forbid it.
  for (const { local, entry } of [...files].reverse()) {
    if (entry.type !== 'directory') continue;
    await chmod(local, entry.mode & 0o777);
    await utimes(local, secondsOf(entry), secondsOf(entry));
  }
}

async function writeFile(
  { reader }: HeldState,
  { part, entry }: { readonly part: string; readonly entry: FileEntry },
  onBytes: (bytes: number) => void,
): Promise<void> {
  const file = await open(part, 'w', entry.mode & 0o777);
  try {
    for await (const piece of readContent(reader, entry)) {
      await file.writeFile(piece);
      onBytes(piece.length);
    }
    // What a file may do for others than its owner is not a volume's to say on this machine: no setuid.
    await file.chmod(entry.mode & 0o777);
    await file.utimes(secondsOf(entry), secondsOf(entry));
  } finally {
    await file.close();
  }
}

function secondsOf({ mtimeSeconds, mtimeNanos }: Entry): number {
  return mtimeSeconds + mtimeNanos / 1_000_000_000;
}
