import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface NamelessFile {
  readonly file: FileHandle;
  /** By which this process and those that it starts can open it. */
  readonly path: string;
}

let made = 0;

/** A file on the disk that is gone when this process is, however that ends. */
export async function namelessFile(): Promise<NamelessFile> {
  made += 1;
  const name = join(tmpdir(), `holdfast-bench-${process.pid}-${made}`);
  const file = await open(name, 'wx+');
  await rm(name);
  return { file, path: `/proc/${process.pid}/fd/${file.fd}` };
}
