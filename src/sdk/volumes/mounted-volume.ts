import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { HoldfastError } from '../../common/errors.js';
import { isErrorCode } from '../../wire/error-codes.js';
import type { MountCommitOptions } from './volume-infos.js';

/** Where containers that have volumes find it; it asks the file system, which needs no credentials. */
const tool = '/run/holdfast/bin/holdfast';
const longestAnswer = 65_536;

/** Commits, reloads or names the volume that is mounted at a path of this container. @throws what it was refused with */
export async function askMount(
  words: readonly [what: 'commit' | 'reload' | 'name', path: string, ...string[]],
): Promise<string> {
  const [what, path] = words;
  if (!existsSync(tool))
    throw new HoldfastError(
      'InvalidArgument',
      `${what} of ${path}: this is no container with volumes; name them in \`volumes\` of its class or sandbox`,
    );
  return await new Promise((resolve, reject) => {
    execFile(tool, ['volume', ...words], { maxBuffer: longestAnswer, env: {} }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else reject(refusal(stderr.trim() || error.message));
    });
  });
}

/** A volume, and where it is mounted in this container; null: it was not taken from there. */
interface Mounted {
  readonly path: string | null;
  readonly name: string;
}

/** The id of the commit. @throws what it was refused with */
export async function commitMount(mounted: Mounted, options: MountCommitOptions): Promise<string> {
  const { message = '', onConflict = 'last-writer-wins' } = options;
  const conflict = onConflict === 'fail' ? ['--fail-on-conflict'] : [];
  return await askMount(['commit', here(mounted, 'commit'), '-m', message, ...conflict]);
}

/** The id of the commit that is seen then. @throws what it was refused with */
export async function reloadMount(mounted: Mounted, isForced: boolean): Promise<string> {
  return await askMount(['reload', here(mounted, 'reload'), ...(isForced ? ['--force'] : [])]);
}

function here({ path, name }: Mounted, what: string): string {
  if (path !== null) return path;
  throw new HoldfastError(
    'InvalidArgument',
    `${what} of volume ${name}: only a mount has changes; take it from Volume.fromMount(path) inside a container`,
  );
}

/** `holdfast: Code: message`, as the tool has it of whoever refused. */
function refusal(said: string): HoldfastError {
  const [, code, message] = /^holdfast: (\w+): (.*)$/s.exec(said) ?? [];
  if (isErrorCode(code) && message !== undefined) return new HoldfastError(code, message);
  return new HoldfastError('InvalidArgument', said.replace(/^holdfast: /, ''));
}
