import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { HoldfastError } from '../../common/errors.js';
import { processGroup } from '../../runtime/process/process-group.js';
import { stateFolder } from './state-file.js';

/** Where a project's embedded cluster keeps its data, held by one `holdfast dev` at a time. */
export interface ProjectFolder {
  readonly path: string;
  release(): void;
}

/** The folder of what is at `path`: the same one each time, so that instances and their handles outlive a restart. */
export function projectFolderOf(path: string, env: NodeJS.ProcessEnv): string {
  const name = basename(path).replace(/[^A-Za-z0-9._-]/g, '-') || 'root';
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 8);
  return join(stateFolder(env), 'dev', `${name}-${hash}`);
}

/** @throws AlreadyExists where another process holds it: two clusters over one store would not see each other. */
export function holdProjectFolder(path: string): ProjectFolder {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const lock = join(path, 'lock');
  const own = JSON.stringify(processGroup(process.pid));
  if (!tryWrite(lock, own)) {
    const holder = readHolder(lock);
    if (holder !== null) {
      throw new HoldfastError(
        'AlreadyExists',
        `\`holdfast dev\` runs for this already, as process ${holder}: stop that one, or use another --data folder`,
      );
    }
    writeFileSync(lock, own, { mode: 0o600 });
  }
  return { path, release: () => rmSync(lock, { force: true }) };
}

function tryWrite(lock: string, text: string): boolean {
  try {
    writeFileSync(lock, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (e) {
    if ((e as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw e;
  }
}

/** The process that holds it; null where that is gone, killed before it could let go. */
function readHolder(lock: string): number | null {
  try {
    const { pid, startTime } = JSON.parse(readFileSync(lock, 'utf8')) as { pid: number; startTime: string | null };
    process.kill(pid, 0);
    return processGroup(pid).startTime === startTime ? pid : null;
  } catch {
    return null; // No such process, or half a file.
  }
}
