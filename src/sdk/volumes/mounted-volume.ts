import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { checkOptions } from '../../common/check-options.js';
import { HoldfastError } from '../../common/errors.js';
import { expected } from '../../common/option-checks.js';
import { pathProblem } from '../../common/session-options.js';
import { isErrorCode } from '../../wire/error-codes.js';
import { type CallLimits, during, Limits, limitChecks } from '../calls/call-limits.js';
import { systemParts } from '../default-client.js';
import type { MountCommitOptions } from './volume-infos.js';

/** Where containers that have volumes find it; it asks the file system, which needs no credentials. */
const tool = '/run/holdfast/bin/holdfast';
const longestAnswer = 65_536;
const longestMessage = 4_096;

const commitChecks = {
  ...limitChecks,
  message: (value: unknown) =>
    typeof value === 'string' && value.length <= longestMessage && !value.includes('\0')
      ? null
      : `a text of up to ${longestMessage} characters without NUL`,
  onConflict: expected.oneOf('last-writer-wins', 'fail'),
} as const;
const reloadChecks = { ...limitChecks, force: expected.boolean } as const;

/** Commits, reloads or names the volume that is mounted at a path of this container. @throws what it was refused with */
export async function askMount(
  words: readonly [what: 'commit' | 'reload' | 'name', path: string, ...string[]],
  options: CallLimits,
): Promise<string> {
  const [what, path] = words;
  const wanted = pathProblem(path);
  if (wanted !== null) throw new HoldfastError('InvalidArgument', `${what} of a volume: its path must be ${wanted}`);
  const limits = Limits.of(systemParts.clock, `${what} of the volume at ${path}`, options);
  if (!existsSync(tool))
    throw new HoldfastError(
      'InvalidArgument',
      `${what} of ${path}: this is no container with volumes; name them in \`volumes\` of its class or sandbox`,
    );
  const ended = new AbortController();
  const run = { maxBuffer: longestAnswer, env: {}, signal: ended.signal };
  const said = new Promise<string>((resolve, reject) => {
    execFile(tool, ['volume', ...words], run, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else reject(refusal(stderr.trim() || error.message));
    });
  });
  try {
    return await during(limits, said);
  } finally {
    // The file system goes on; nobody waits for the tool any more.
    ended.abort();
  }
}

/** A volume, and where it is mounted in this container; null: it was not taken from there. */
interface Mounted {
  readonly path: string | null;
  readonly name: string;
}

/** The id of the commit. @throws what it was refused with */
export async function commitMount(mounted: Mounted, options: MountCommitOptions): Promise<string> {
  checkOptions(`commit of volume ${mounted.name}`, options, commitChecks);
  const { message = '', onConflict = 'last-writer-wins' } = options;
  const conflict = onConflict === 'fail' ? ['--fail-on-conflict'] : [];
  return await askMount(['commit', here(mounted, 'commit'), '-m', message, ...conflict], options);
}

/** The id of the commit that is seen then. @throws what it was refused with */
export async function reloadMount(
  mounted: Mounted,
  options: { readonly force?: boolean } & CallLimits,
): Promise<string> {
  checkOptions(`reload of volume ${mounted.name}`, options, reloadChecks);
  return await askMount(['reload', here(mounted, 'reload'), ...(options.force ? ['--force'] : [])], options);
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
