import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A place for temporary files of this process and all that it starts, until disposed. */
export interface PrivateFolder extends Disposable {
  readonly path: string;
  /** What clusters have left in it. */
  clusterFolders(): string[];
}

export function privateTemporaryFolder(): PrivateFolder {
  const before = process.env['TMPDIR'];
  const path = mkdtempSync(join(tmpdir(), 'hf-'));
  process.env['TMPDIR'] = path;
  return {
    path,
    clusterFolders: () => (existsSync(path) ? readdirSync(path).filter((name) => name.startsWith('holdfast-')) : []),
    [Symbol.dispose]: () => {
      if (before === undefined) delete process.env['TMPDIR'];
      else process.env['TMPDIR'] = before;
      rmSync(path, { recursive: true, force: true });
    },
  };
}
