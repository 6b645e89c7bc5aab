import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readInSandboxes } from '../load/read-in-sandboxes.js';
import type { Target } from '../load/target.js';
import type { Place, VolumePlaces } from '../load/volume-steps.js';

const run = promisify(execFile);
const pieceBytes = 8_388_608;
const few = 10;

/** The least that the same work takes: folders of the disk, bound where they are wanted. @param folder made where it is missing */
export async function connectPlainDisk(folder: string): Promise<Target> {
  const [own, bound, files] = ['plain', 'bound', 'files'].map((name) => join(folder, name)) as [string, string, string];
  for (const path of [own, bound, files]) await mkdir(path, { recursive: true });
  for (let index = 0; index < few; index += 1) await writeFile(join(own, `file-${index}`), 'x');
  const removed = (path: string): Place => ({ path, end: () => rm(path, { recursive: true, force: true }) });
  const volumes: VolumePlaces = {
    prepare: async () => undefined,
    // However many files there are.
    mount: async () => {
      await run('mount', ['--bind', own, bound]);
      return async () => void (await run('umount', [bound]));
    },
    file: async (how, bytes) => {
      const path = join(folder, 'read');
      await writeRandom(path, bytes);
      // Not kept in memory.
      if (how === 'cold') await run('dd', [`if=${path}`, 'iflag=nocache', 'count=0', 'status=none']);
      return removed(path);
    },
    emptyFolder: async () => {
      await rm(files, { recursive: true, force: true });
      await mkdir(files);
      return removed(files);
    },
    sameFolder: async () => files,
    change: async () => {
      const path = join(folder, 'chunk');
      const chunk = randomFillSync(Buffer.alloc(pieceBytes));
      return () => writeSynced(path, [chunk]);
    },
    fanOut: async (bytes, sandboxes) => {
      const set = join(folder, 'set');
      await mkdir(set, { recursive: true });
      await writeRandom(join(set, 'data'), bytes);
      return () => readInSandboxes(Array.from({ length: sandboxes }, () => set));
    },
    fetchedBytes: async () => 0,
  };
  return { call: () => Promise.reject(new Error('a disk has no methods')), volumes, close: async () => undefined };
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  function* pieces(): Generator<Buffer> {
    const piece = Buffer.alloc(Math.min(bytes, pieceBytes));
    for (let left = bytes; left > 0; left -= piece.length) yield randomFillSync(piece).subarray(0, left);
  }
  await writeSynced(path, pieces());
}

async function writeSynced(path: string, pieces: Iterable<Buffer>): Promise<void> {
  await using file = await open(path, 'w');
  for (const piece of pieces) await file.writeFile(piece);
  await file.sync();
}
